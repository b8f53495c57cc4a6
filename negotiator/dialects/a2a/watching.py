"""The client's half of a stream: what a peer tells of a task, event by event, put together again."""

from dataclasses import dataclass, field, replace

from negotiator.dialects.a2a import extension, http_0_3
from negotiator.dialects.a2a.asking import Answered, Place, read_answer
from negotiator.dialects.a2a.objects import Artifact, Misformed, TaskView, read_artifact, read_task
from negotiator.dialects.json_body import read_object
from negotiator.errors import PeerMisspoke
from negotiator.events import Partial, Progress
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.wire import WireReply

MAX_MESSAGE = 300
"""Characters of what is said of a task under way."""
MAX_PART = 16_384
"""Characters of one part of an answer."""
MAX_CHUNKS = 65_536
"""Parts of all artifacts of one task; a peer that sends more misspeaks."""
_UPDATES = ("statusUpdate", "artifactUpdate")
_KINDS = {"status-update": "statusUpdate", "artifact-update": "artifactUpdate"}


@dataclass(slots=True)
class Watched:
    """One message's task, as its stream tells of it."""

    place: Place
    answered: Answered | None = None
    """What is known of it now: a task, or what came in its place; None before the first event."""
    over: bool = False
    """Whether the peer has no more to say."""
    _artifacts: dict[str, Artifact] = field(default_factory=dict)
    _parts: int = 0

    def feed(self, data: bytes) -> list[Progress | Partial]:
        """Read one event; what it tells of the way. Raises `PeerMisspoke`."""
        try:
            found = read_object(data)
            update, told = self._update(found)
            if update == "statusUpdate":
                return self._status(told)
            if update == "artifactUpdate":
                return self._artifact(told)
        except (Misformed, ValueError) as problem:
            raise PeerMisspoke(f"an event is not of A2A: {problem}") from None
        self.answered = read_answer(WireReply(body=data), self.place)
        if isinstance(self.answered, TaskView):
            self._artifacts = {each.id: each for each in self.answered.artifacts}
        self.over = not isinstance(self.answered, TaskView)
        return []

    def _update(self, found: JsonObject) -> tuple[str | None, JsonObject]:
        """The name and the object of an update; no name for what an answer may be as well."""
        if self.place.rpc:
            result = found.get("result")
            found = result if isinstance(result, dict) else {}
        if self.place.form == "0.3":
            return _KINDS.get(str(found.get("kind"))), found
        for name in _UPDATES:
            update = found.get(name)
            if isinstance(update, dict):
                return name, update
        return None, {}

    def _status(self, update: JsonObject) -> list[Progress | Partial]:
        status = self._form(update)
        given: JsonObject = {"id": update.get("taskId"), "contextId": update.get("contextId"), **status}
        view = read_task(given, self.place.form)
        self.answered = replace(view, artifacts=tuple(self._artifacts.values()))
        self.over = view.state not in ("submitted", "working", "unknown")
        if self.over or view.message is None:
            return []
        words = "\n".join(str(part.value) for part in view.message.parts if part.kind == "text")
        return [Progress(message=words[:MAX_MESSAGE], fraction=_fraction(view.message.metadata))] if words else []

    def _artifact(self, update: JsonObject) -> list[Progress | Partial]:
        piece = read_artifact(self._form(update).get("artifact"), self.place.form)
        append, last = update.get("append") is True, update.get("lastChunk") is True
        before = self._artifacts.get(piece.id)
        self._parts += len(piece.parts)
        if self._parts > MAX_CHUNKS:
            raise PeerMisspoke("the peer's answer is in more parts than one may have")
        if append and before is not None:
            metadata = {**before.metadata, **piece.metadata}
            self._artifacts[piece.id] = replace(piece, parts=(*before.parts, *piece.parts), metadata=metadata)
        else:
            self._artifacts[piece.id] = piece
        if isinstance(self.answered, TaskView):
            self.answered = replace(self.answered, artifacts=tuple(self._artifacts.values()))
        if last and not append:
            return []  # whole at once, or once more
        return [Partial(text=str(part.value)[:MAX_PART]) for part in piece.parts if part.kind == "text"]

    def _form(self, update: JsonObject) -> JsonObject:
        """An update with its objects in the form that the place is read in."""
        return http_0_3.read(update) if not self.place.rpc and self.place.version == "0.3" else update


def _fraction(metadata: JsonObject) -> float | None:
    given: JsonValue = metadata.get(extension.PROGRESS)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        return None
    return float(given)
