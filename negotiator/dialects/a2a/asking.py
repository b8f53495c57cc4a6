"""The client's half: a message on its way to a peer, and what came back, in either version and binding."""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias, get_args
from urllib.parse import quote

from negotiator.dialects import sse
from negotiator.dialects.a2a import extension, http_0_3
from negotiator.dialects.a2a.calls import JSON, VERSION_HEADER
from negotiator.dialects.a2a.card import Binding
from negotiator.dialects.a2a.faults import FAULTS
from negotiator.dialects.a2a.objects import (
    TERMINAL,
    Message,
    Misformed,
    Part,
    TaskView,
    Version,
    read_message,
    read_task,
    write_message,
)
from negotiator.dialects.agora.fields import MAX_ERROR, read_retry_after
from negotiator.dialects.json_body import as_text, read_object, write
from negotiator.errors import PeerMisspoke, UsageError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import PeerTier, Reply
from negotiator.wire import WireReply, WireRequest

Answered: TypeAlias = Message | TaskView | Reply
"""What came: a message, a task as it is now, or the refusal that an error is."""

_READ: Final = ["application/json", "text/plain"]
_TIERS: Final = frozenset(get_args(PeerTier))
_OVERLOADED: Final = (429, 503)
_BY_HTTP: Final = {401: "unauthenticated", 403: "not_allowed"}
_REJECTED: Final = ("unsupported_protocol", "document_not_found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how a peer is spoken to."""

    base: str
    """The origin, without a path."""
    path: str
    """Begins with a slash, or is empty."""
    binding: Binding
    version: Version

    @property
    def rpc(self) -> bool:
        """Whether it is JSON-RPC."""
        return self.binding == "JSONRPC"

    @property
    def form(self) -> Version:
        """How objects are written there: over HTTP+JSON as in 1.0, which 0.3's are told as."""
        return self.version if self.rpc else "1.0"

    @property
    def below(self) -> str:
        """What stands before the addresses of HTTP+JSON."""
        return self.path + (http_0_3.PREFIX if self.version == "0.3" else "")


def write_send(place: Place, message: Message, *, watched: bool = False) -> WireRequest:
    """A message that is to be answered before the peer replies, or whose task is `watched`.

    Raises `UsageError` for what is no JSON.
    """
    configuration: JsonObject = {"acceptedOutputModes": _READ}
    if place.version == "0.3":
        configuration["blocking"] = True
    params: JsonObject = {"message": write_message(message, place.form), "configuration": configuration}
    one, earlier, path = (
        ("SendStreamingMessage", "message/stream", "/message:stream")
        if watched
        else ("SendMessage", "message/send", "/message:send")
    )
    wire = _request(place, one if place.version == "1.0" else earlier, params, path, message.extensions)
    return replace(wire, headers={**wire.headers, "accept": f"{sse.MEDIA_TYPE}, {JSON}"}) if watched else wire


def write_get(place: Place, task: str) -> WireRequest:
    """A look at a task."""
    method = "GetTask" if place.version == "1.0" else "tasks/get"
    if place.rpc:
        return _request(place, method, {"id": task}, "", ())
    return WireRequest(
        method="GET", path=f"{place.below}/tasks/{quote(task, safe='')}", headers={VERSION_HEADER: place.version}
    )


def _request(place: Place, method: str, params: JsonObject, path: str, extensions: tuple[str, ...]) -> WireRequest:
    headers = {"content-type": JSON, "accept": JSON, VERSION_HEADER: place.version}
    if place.version == "0.3":
        del headers[VERSION_HEADER]
    if extensions:
        headers[extension.HEADER if place.version == "1.0" else extension.EARLIER_HEADER] = ",".join(extensions)
    envelope = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params} if place.rpc else params
    if not place.rpc and place.version == "0.3":
        envelope = http_0_3.write(params)
    try:
        body = write(envelope)
    except ValueError as error:
        raise UsageError(f"the body cannot be sent: {error}") from None
    return WireRequest(path=(place.path if place.rpc else place.below + path) or "/", headers=headers, body=body)


def read_answer(wire: WireReply, place: Place) -> Answered:
    """What a peer answered. Raises `PeerMisspoke` where it is nothing of A2A's."""
    try:
        found = read_object(wire.body)
    except ValueError as problem:
        if wire.status >= 400:  # noqa: PLR2004 - HTTP
            return _refused({}, wire)
        raise PeerMisspoke(f"the reply is not of A2A: {problem}") from None
    error = found.get("error")
    if error is not None or wire.status >= 400:  # noqa: PLR2004 - HTTP
        return _refused(error if isinstance(error, dict) else {}, wire)
    result = found.get("result") if place.rpc else http_0_3.read(found) if place.version == "0.3" else found
    try:
        return _result(result, place.form)
    except Misformed as problem:
        raise PeerMisspoke(f"the reply is not of A2A: {problem}") from None


def _result(result: JsonValue, version: Version) -> Message | TaskView:
    given = result if isinstance(result, dict) else {}
    if version == "0.3":
        return read_message(given, version) if given.get("kind") == "message" else read_task(given, version)
    if "message" in given:
        return read_message(given["message"], version)
    return read_task(given.get("task", given), version)


def _refused(error: JsonObject, wire: WireReply) -> Reply:
    text, number = error.get("message"), error.get("code")
    said = text[:MAX_ERROR] if isinstance(text, str) else None
    if wire.status in _OVERLOADED:
        wait = read_retry_after(wire.headers)
        return Reply(status="failure", code="overloaded", error=said, retry_after=1.0 if wait is None else wait)
    # Of an error inside, nobody knows whether it was before the effect or after it.
    inside = number == FAULTS["INTERNAL_ERROR"].code or wire.status >= 500  # noqa: PLR2004 - HTTP
    code = "internal_error" if inside else _BY_HTTP.get(wire.status, "peer_failed")
    return Reply(status="failure", code=code, error=said or f"the peer answered {wire.status}")


def under_way(answered: Answered) -> TaskView | None:
    """The task that is not done yet, if that is what came."""
    if isinstance(answered, TaskView) and answered.state in ("submitted", "working", "unknown"):
        return answered
    return None


def as_reply(answered: Answered, *, in_words: bool) -> Reply:
    """What came of a message, as one reply; `in_words` where it was natural language."""
    if isinstance(answered, Reply):
        return answered
    if isinstance(answered, Message):
        return Reply(status="success", body=_body(answered.parts, in_words=in_words), tier=_tier(answered.metadata))
    said = _body(answered.message.parts, in_words=True)[:MAX_ERROR] if answered.message else None
    metadata = answered.metadata or (answered.message.metadata if answered.message else {})
    code = next(iter(extension.texts(metadata, extension.CODE)), "peer_failed")[:64]
    if answered.state == "completed":
        parts = tuple(part for artifact in answered.artifacts for part in artifact.parts)
        metadata = answered.artifacts[-1].metadata if answered.artifacts else metadata
        if not parts and answered.message is not None:
            parts = answered.message.parts
        return Reply(status="success", body=_body(parts, in_words=in_words), tier=_tier(metadata))
    if answered.state in TERMINAL:
        rejected = answered.state == "rejected" and code in _REJECTED
        return Reply(
            status="rejected" if rejected else "failure", code=code, error=said or f"the task is {answered.state}"
        )
    wanted = "input_required" if answered.state == "input-required" else "unauthenticated"
    return Reply(status="failure", code=wanted, error=said or f"the task is {answered.state}", conversation=answered.id)


def _body(parts: tuple[Part, ...], *, in_words: bool) -> JsonValue:
    data = [part.value for part in parts if part.kind == "data"]
    text = "\n".join(str(part.value) for part in parts if part.kind == "text")
    files = [part.value for part in parts if part.kind == "file" and _has_address(part.value)]
    if not in_words and not data and not text and files:
        data = files
    if in_words or not data:
        return "\n".join([*([text] if text else []), *(as_text(value) for value in (*data, *files))])
    return data[0] if len(data) == 1 else data


def _has_address(file: JsonValue) -> bool:
    url = file.get("url") if isinstance(file, dict) else None
    return isinstance(url, str) and url.startswith(("http://", "https://"))


def _tier(metadata: JsonObject) -> PeerTier:
    given = metadata.get(extension.TIER)
    return next((tier for tier in _TIERS if tier == given), "unknown")
