"""Models whose answers are kept on file: what was asked once is not asked again, and a table replays without a model.

A run that was stopped goes on where it stood, since the answers up to there are played from the file; with the model
`recorded` nothing else is played, and what is not on file ends the run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from negotiator.clock import Deadline
from negotiator.errors import DeadlinePassed, ModelUnavailable, NegotiatorError, UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.models import open_model
from negotiator.models.base import Completion, Message, Model
from negotiator.models.none import NoModel
from negotiator.models.recorded import RecordedModel, RecordingModel, prompt_key
from negotiator.models.scripted import UnknownPrompt

RECORDED: Final = "recorded"
SCRIPTED: Final = "scripted"
_FAILURES: Final[dict[str, type[NegotiatorError]]] = {each.code: each for each in (DeadlinePassed, ModelUnavailable)}


def open_kept(spec: str, path: Path, scripted: Model | None = None) -> Model:
    """The model that `--model` names, with its answers kept at `path`.

    Args:
        spec: `none`, `scripted`, `recorded` (what stands at `path`, and no model), or a model's name.
        path: of the recording.
        scripted: what `scripted` stands for; its answers are not kept, since it gives them again.

    Raises `UsageError`.
    """
    if spec == "none":
        return NoModel()
    if spec == SCRIPTED:
        if scripted is None:
            raise UsageError("there is no scripted model for this")
        return scripted
    return Kept(None if spec == RECORDED else open_model(spec), path)


def require_answers(model: Model) -> None:
    """Raises `UsageError` where a prompt was not on file: an agent takes that for a model that is away, and goes on."""
    if isinstance(model, Kept) and model.missing is not None:
        raise UsageError(f"this cannot be replayed: {model.missing}")


class Kept:
    """Plays what is on file at `path`, and asks `inner` for what is not; its failures are kept beside the answers."""

    def __init__(self, inner: Model | None, path: Path) -> None:
        """Raises `UsageError` where the file is another model's, or there is neither a file nor a model."""
        self._failed = path.with_suffix(".failures.jsonl")
        there = path.is_file() and path.stat().st_size > 0
        self._recorded = RecordedModel(path) if there else None
        if self._recorded is None and inner is None:
            raise UsageError(f"{path} holds no answers: run it with a model first")
        self._inner = None if inner is None else RecordingModel(inner, path)
        of = None if self._recorded is None else self._recorded.name.removeprefix("recorded/")
        if of is not None and inner is not None and of != inner.name:
            raise UsageError(f"{path} holds the answers of {of}, not of {inner.name}: give another --out")
        self._name = of or (inner.name if inner is not None else "")
        self._failures = self._read_failures()
        self.asked = 0
        """Calls that went to the model itself."""
        self.missing: UnknownPrompt | None = None
        """The last prompt that there was no answer to, and nobody to ask."""

    @property
    def name(self) -> str:
        """The name of the model whose answers these are, replayed or not: what is kept under it stays the same."""
        return self._name

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`. Raises `UnknownPrompt` where there is no answer and nobody to ask."""
        if self._recorded is not None:
            try:
                return await self._recorded.complete(
                    messages, purpose=purpose, schema=schema, max_tokens=max_tokens, deadline=deadline
                )
            except UnknownPrompt as unknown:
                if self._inner is None:
                    self._play_failure(prompt_key(messages, schema, max_tokens))
                    self.missing = unknown
                    raise
        assert self._inner is not None  # noqa: S101 - one of the two is there
        self.asked += 1
        try:
            return await self._inner.complete(
                messages, purpose=purpose, schema=schema, max_tokens=max_tokens, deadline=deadline
            )
        except (DeadlinePassed, ModelUnavailable) as error:
            line = orjson.dumps({"key": prompt_key(messages, schema, max_tokens), "error": error.code})
            with self._failed.open("ab") as file:
                file.write(line + b"\n")
            raise

    async def aclose(self) -> None:
        """Let go of the model."""
        if self._inner is not None:
            await self._inner.aclose()

    def _play_failure(self, key: str) -> None:
        if key in self._failures:
            raise _FAILURES[self._failures[key]]

    def _read_failures(self) -> dict[str, str]:
        lines = self._failed.read_bytes().splitlines() if self._failed.is_file() else []
        return {line["key"]: line["error"] for line in map(orjson.loads, lines)}
