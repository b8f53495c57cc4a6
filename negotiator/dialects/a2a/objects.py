"""Messages, tasks and their parts in neither version's form, and in both.

1.0 is protobuf's JSON (enum words in capitals, one member a part); 0.3 has a `kind` on everything. What a version
does not know is left out; unknown members are ignored.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn, TypeAlias

from negotiator.dialects.a2a.numbers import spelled
from negotiator.dialects.json_body import write
from negotiator.jsonvalue import JsonObject, JsonValue

Version: TypeAlias = Literal["1.0", "0.3"]
State: TypeAlias = Literal[
    "submitted",
    "working",
    "completed",
    "failed",
    "canceled",
    "input-required",
    "rejected",
    "auth-required",
    "unknown",
]
"""A task's, in the words of 0.3."""
STATES: Final[tuple[State, ...]] = (
    "submitted",
    "working",
    "completed",
    "failed",
    "canceled",
    "input-required",
    "rejected",
    "auth-required",
)
TERMINAL: Final = frozenset({"completed", "failed", "canceled", "rejected"})
Speaker: TypeAlias = Literal["user", "agent"]
PartKind: TypeAlias = Literal["text", "data", "file"]

MAX_PARTS: Final = 64
"""Parts of one message or artifact that are read; more are refused."""
MAX_ID: Final = 255
"""Characters of an identifier."""
MAX_URIS: Final = 16
"""Extensions that one message may name."""
WRAPPED: Final = "data_part_compat"
"""What a2a-sdk marks a 0.3 data part with whose value is no object, and stands under `value`."""


class Misformed(ValueError):
    """It is not what the version says; the message names the member and quotes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of content."""

    kind: PartKind
    value: JsonValue
    """Text, any JSON, or of a file `url`, `media_type` and `name`; bytes are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn."""

    id: str
    speaker: Speaker
    parts: tuple[Part, ...]
    context: str | None = None
    task: str | None = None
    metadata: JsonObject = field(default_factory=dict)
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One output of a task."""

    id: str
    parts: tuple[Part, ...]
    metadata: JsonObject = field(default_factory=dict)
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task as it is shown."""

    id: str
    context: str
    state: State
    timestamp: str | None = None
    """RFC 3339, in UTC."""
    message: Message | None = None
    """What its agent says of its state."""
    artifacts: tuple[Artifact, ...] = ()
    history: tuple[Message, ...] = ()
    metadata: JsonObject = field(default_factory=dict)


def text_part(text: str) -> Part:
    """A part of text."""
    return Part(kind="text", value=text)


def data_part(value: JsonValue) -> Part:
    """A part of JSON."""
    return Part(kind="data", value=value)


def file_part(reference: JsonObject) -> Part:
    """A part that refers to a file, from a reference with an address."""
    names = ("url", "media_type", "name")
    return Part(kind="file", value={name: reference[name] for name in names if isinstance(reference.get(name), str)})


# --- reading ---


def read_message(given: JsonValue, version: Version) -> Message:
    """Raises `Misformed`."""
    found = _object(given, "message")
    return Message(
        id=identifier(found, "messageId") or _refuse("messageId", "is missing"),
        speaker=_speaker(found.get("role")),
        parts=_parts(found.get("parts"), version),
        context=identifier(found, "contextId"),
        task=identifier(found, "taskId"),
        metadata=_metadata(found),
        extensions=_extensions(found),
    )


def read_task(given: JsonValue, version: Version, *, with_history: bool = False) -> TaskView:
    """A task as it is shown, its last messages where they are wanted. Raises `Misformed`."""
    found = _object(given, "task")
    status = _object(found.get("status"), "status")
    said = status.get("message")
    artifacts = found.get("artifacts") or []
    history = found.get("history") if with_history else None
    return TaskView(
        id=identifier(found, "id") or _refuse("id", "is missing"),
        context=identifier(found, "contextId") or "",
        state=read_state(status.get("state"), version),
        message=None if said is None else read_message(said, version),
        artifacts=tuple(read_artifact(each, version) for each in _list(artifacts, "artifacts", MAX_PARTS)),
        history=tuple(read_message(each, version) for each in (history or [])[-MAX_PARTS:]),
        metadata=_metadata(found),
    )


def read_state(given: JsonValue, version: Version) -> State:
    """A state by its word; one that is not known is `unknown`."""
    word = given if isinstance(given, str) else ""
    if version == "1.0":
        word = word.removeprefix("TASK_STATE_").lower().replace("_", "-")
    return next((state for state in STATES if state == word), "unknown")


def identifier(found: JsonObject, name: str) -> str | None:
    """An identifier that may be missing or, as protobuf has it, empty. Raises `Misformed`."""
    given = found.get(name)
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > MAX_ID:
        _refuse(name, f"is not a text of at most {MAX_ID} characters")
    return given


def read_artifact(given: JsonValue, version: Version) -> Artifact:
    """An output of a task, or a piece of one. Raises `Misformed`."""
    found = _object(given, "artifact")
    return Artifact(
        id=identifier(found, "artifactId") or "",
        parts=_parts(found.get("parts"), version),
        metadata=_metadata(found),
        extensions=_extensions(found),
    )


def _parts(given: JsonValue, version: Version) -> tuple[Part, ...]:
    listed = _list(given, "parts", MAX_PARTS)
    if not listed:
        _refuse("parts", "is empty")
    return tuple(_part(_object(each, "part"), version) for each in listed)


def _part(found: JsonObject, version: Version) -> Part:
    if version == "0.3":
        return _part_with_kind(found)
    named = [name for name in ("text", "data", "url", "raw") if name in found]
    if len(named) != 1:
        _refuse("part", "has not exactly one of text, data, url and raw")
    value = found[named[0]]
    if named[0] == "text":
        return text_part(value if isinstance(value, str) else _refuse("text", "is no text"))
    if named[0] == "data":
        return data_part(value)
    return _file(value if named[0] == "url" else None, found.get("mediaType"), found.get("filename"))


def _part_with_kind(found: JsonObject) -> Part:
    match found:
        case {"kind": "text", "text": str(text)}:
            return text_part(text)
        case {"kind": "data", "data": dict(data)}:
            marked = found.get("metadata")
            wrapped = isinstance(marked, dict) and marked.get(WRAPPED) is True and data.keys() == {"value"}
            return data_part(data["value"] if wrapped else data)
        case {"kind": "file", "file": dict(file)}:
            return _file(file.get("uri"), file.get("mimeType"), file.get("name"))
    return _refuse("part", "is no part of the kind text, data or file")


def _file(url: JsonValue, media_type: JsonValue, name: JsonValue) -> Part:
    given = {"url": url, "media_type": media_type, "name": name}
    return Part(kind="file", value={key: value for key, value in given.items() if isinstance(value, str)})


def _speaker(given: JsonValue) -> Speaker:
    match given:
        case "ROLE_USER" | "user":
            return "user"
        case "ROLE_AGENT" | "agent":
            return "agent"
    return _refuse("role", "is neither the user nor the agent")


def _metadata(found: JsonObject) -> JsonObject:
    given = found.get("metadata")
    return {} if given is None else _object(given, "metadata")


def _extensions(found: JsonObject) -> tuple[str, ...]:
    given = found.get("extensions")
    listed = [] if given is None else _list(given, "extensions", MAX_URIS)
    return tuple(each for each in listed if isinstance(each, str))


def _object(given: JsonValue, name: str) -> JsonObject:
    return given if isinstance(given, dict) else _refuse(name, "is no object")


def _list(given: JsonValue, name: str, at_most: int) -> list[Any]:
    if not isinstance(given, list) or len(given) > at_most:
        return _refuse(name, f"is no list of at most {at_most}")
    return given


def _refuse(name: str, what: str) -> NoReturn:
    raise Misformed(f"{name} {what}")


# --- writing ---


def write_message(message: Message, version: Version) -> JsonObject:
    """The message's JSON object."""
    written: JsonObject = {
        "messageId": message.id,
        "role": message.speaker if version == "0.3" else f"ROLE_{message.speaker.upper()}",
        "parts": [write_part(part, version) for part in message.parts],
    }
    if version == "0.3":
        written["kind"] = "message"
    for name, value in (("contextId", message.context), ("taskId", message.task), ("metadata", message.metadata)):
        if value:
            written[name] = value
    if message.extensions:
        written["extensions"] = list(message.extensions)
    return written


def write_status(task: TaskView, version: Version) -> JsonObject:
    """The JSON object of a task's status."""
    state = task.state if version == "0.3" else f"TASK_STATE_{task.state.upper().replace('-', '_')}"
    written: JsonObject = {"state": state}
    if task.message is not None:
        written["message"] = write_message(task.message, version)
    if task.timestamp is not None:
        written["timestamp"] = task.timestamp
    return written


def write_artifact(artifact: Artifact, version: Version) -> JsonObject:
    """The artifact's JSON object."""
    written: JsonObject = {
        "artifactId": artifact.id,
        "parts": [write_part(part, version) for part in artifact.parts],
    }
    if artifact.metadata:
        written["metadata"] = artifact.metadata
    if artifact.extensions:
        written["extensions"] = list(artifact.extensions)
    return written


def write_task(
    task: TaskView, version: Version, *, history_length: int | None = None, with_artifacts: bool = True
) -> JsonObject:
    """The task's JSON object, with at most the last `history_length` messages (3.2.4)."""
    written: JsonObject = {"id": task.id, "contextId": task.context, "status": write_status(task, version)}
    if version == "0.3":
        written["kind"] = "task"
    if with_artifacts and task.artifacts:
        written["artifacts"] = [write_artifact(each, version) for each in task.artifacts]
    shown = task.history if history_length is None else task.history[-history_length:] if history_length else ()
    if shown:
        written["history"] = [write_message(each, version) for each in shown]
    if task.metadata:
        written["metadata"] = task.metadata
    return written


def write_part(part: Part, version: Version) -> JsonObject:
    """The part's JSON object. Integers that floats cannot hold become text."""
    if part.kind == "text":
        return {"text": part.value} if version == "1.0" else {"kind": "text", "text": part.value}
    if part.kind == "file":
        return _written_file(part.value, version)
    value = spelled(part.value)
    if version == "1.0":
        return {"data": value, "mediaType": "application/json"}
    if isinstance(value, dict):
        return {"kind": "data", "data": value}
    return {"kind": "data", "data": {"value": value}, "metadata": {WRAPPED: True}}


def _written_file(file: JsonObject, version: Version) -> JsonObject:
    names = {"url": "url" if version == "1.0" else "uri"}
    names |= (
        {"media_type": "mediaType", "name": "filename"}
        if version == "1.0"
        else {
            "media_type": "mimeType",
            "name": "name",
        }
    )
    written: JsonObject = {names[key]: value for key, value in file.items()}
    return written if version == "1.0" else {"kind": "file", "file": written}


def as_text(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts for a peer that reads text alone: JSON written out."""
    return tuple(text_part(write(spelled(each.value)).decode()) if each.kind == "data" else each for each in parts)
