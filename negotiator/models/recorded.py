"""A real model's answers on file: recorded once, replayed exactly.

One JSON object a line: `{key, model, purpose, messages, schema, max_tokens, text, truncated, refusal, usage}`.
`key` is the SHA-256 of the canonical JSON of `{messages, schema, max_tokens}`; it is computed anew on
reading, so that a line edited by hand does not answer a prompt that was never asked.
"""

import hashlib
import threading
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from negotiator.clock import Deadline
from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message, Model, Usage
from negotiator.models.scripted import UnknownPrompt


def prompt_key(messages: Sequence[Message], schema: JsonObject | None, max_tokens: int) -> str:
    """The SHA-256, in hex, under which the answer to a prompt is kept."""
    asked = {
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "schema": schema,
        "max_tokens": max_tokens,
    }
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


class RecordedModel:
    """Replays the file at `path`. Usage is what the real model took, seconds and money included.

    A prompt that was asked several times is answered in the order of the file, the last answer ever after.

    Raises:
        UsageError: The file cannot be read, is no recording, or holds answers of several models.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._answers: defaultdict[str, list[Completion]] = defaultdict(list)
        self._played: defaultdict[str, int] = defaultdict(int)
        models: set[str] = set()
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError as problem:
            raise UsageError(f"the recording cannot be read: {problem}") from problem
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                key, completion = _read(orjson.loads(line))
            except (ValueError, KeyError, TypeError) as problem:
                raise UsageError(f"{self._path.name}, line {number}: not a recorded answer ({problem!r})") from problem
            self._answers[key].append(completion)
            models.add(completion.model)
        if len(models) != 1:
            raise UsageError(f"{self._path.name} holds answers of {len(models)} models; a recording is of one")
        self._model = models.pop()

    @property
    def name(self) -> str:
        """`recorded/` and the name of the model whose answers these are."""
        return f"recorded/{self._model}"

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`. Raises `UnknownPrompt` for a prompt that is not on file."""
        deadline.require()
        key = prompt_key(messages, schema, max_tokens)
        answers = self._answers.get(key)
        if answers is None:
            raise UnknownPrompt(
                f"{self._path.name} holds no answer to this prompt (purpose {purpose}, key {key[:12]}): "
                "prompts, schemas or limits have changed since; record it again"
            )
        turn = self._played[key]
        self._played[key] += 1
        return answers[min(turn, len(answers) - 1)]

    async def aclose(self) -> None:
        """See `Model.aclose`; there is nothing to release."""


class RecordingModel:
    """Asks `inner` and appends each answer to the file at `path` as it comes."""

    def __init__(self, inner: Model, path: str | Path) -> None:
        self._inner = inner
        self._path = Path(path)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name of the model that answers."""
        return self._inner.name

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`. An answer that cannot be written down raises `OSError`."""
        completion = await self._inner.complete(
            messages, purpose=purpose, schema=schema, max_tokens=max_tokens, deadline=deadline
        )
        usage = completion.usage
        line = orjson.dumps(
            {
                "key": prompt_key(messages, schema, max_tokens),
                "model": completion.model,
                "purpose": purpose,
                "messages": [{"role": message.role, "content": message.content} for message in messages],
                "schema": schema,
                "max_tokens": max_tokens,
                "text": completion.text,
                "truncated": completion.truncated,
                "refusal": completion.refusal,
                "usage": {
                    "calls": usage.calls,
                    "prompt_tokens": usage.prompt_tokens,
                    "completion_tokens": usage.completion_tokens,
                    "seconds": round(usage.seconds, 3),
                    "usd": usage.usd,
                },
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        with self._lock, self._path.open("ab") as file:
            file.write(line)
        return completion

    async def aclose(self) -> None:
        """Close the inner model."""
        await self._inner.aclose()


def _read(line: Any) -> tuple[str, Completion]:
    messages = [Message(message["role"], message["content"]) for message in line["messages"]]
    completion = Completion(
        text=str(line["text"]),
        model=str(line["model"]),
        usage=Usage(**line["usage"]),
        truncated=bool(line["truncated"]),
        refusal=line.get("refusal"),
    )
    return prompt_key(messages, line["schema"], line["max_tokens"]), completion
