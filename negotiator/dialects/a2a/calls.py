"""One request to an A2A agent, in either version and binding, and the answers to it.

JSON-RPC goes to one address; HTTP+JSON has an address for each operation. A request without `A2A-Version` is of 0.3
(specification 1.0, 3.6.2), whose HTTP+JSON has paths of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

import orjson

from negotiator.dialects.a2a import http_0_3
from negotiator.dialects.a2a.faults import Fault
from negotiator.dialects.a2a.objects import (
    Artifact,
    Message,
    TaskView,
    Version,
    write_artifact,
    write_message,
    write_status,
    write_task,
)
from negotiator.dialects.a2a.routes import Operation, route
from negotiator.dialects.json_body import read_object, write
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.wire import WireReply, WireRequest

VERSION_HEADER: Final = "a2a-version"
JSON: Final = "application/json"
A2A_JSON: Final = "application/a2a+json"

OPERATIONS_1_0: Final[Mapping[str, Operation]] = {
    "SendMessage": "send",
    "SendStreamingMessage": "stream",
    "GetTask": "get",
    "ListTasks": "list",
    "CancelTask": "cancel",
    "SubscribeToTask": "subscribe",
    "CreateTaskPushNotificationConfig": "push",
    "GetTaskPushNotificationConfig": "push",
    "ListTaskPushNotificationConfigs": "push",
    "DeleteTaskPushNotificationConfig": "push",
    "GetExtendedAgentCard": "extended_card",
}
OPERATIONS_0_3: Final[Mapping[str, Operation]] = {
    "message/send": "send",
    "message/stream": "stream",
    "tasks/get": "get",
    "tasks/cancel": "cancel",
    "tasks/resubscribe": "subscribe",
    "tasks/pushNotificationConfig/set": "push",
    "tasks/pushNotificationConfig/get": "push",
    "tasks/pushNotificationConfig/list": "push",
    "tasks/pushNotificationConfig/delete": "push",
    "agent/getAuthenticatedExtendedCard": "extended_card",
}
_METHODS: Final[Mapping[Version, Mapping[str, Operation]]] = {"1.0": OPERATIONS_1_0, "0.3": OPERATIONS_0_3}
_VERSION: Final = re.compile(r"(\d{1,4}\.\d{1,4})(?:\.\d{1,4})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as far as it was understood."""

    version: Version = "1.0"
    rpc: bool
    """Whether it came over JSON-RPC."""
    id: str | int | None = None
    """JSON-RPC's."""
    operation: Operation = "send"
    params: JsonObject = field(default_factory=dict)
    fault: Fault | None = None
    """Why it is not served; nothing else holds then but the id."""

    @property
    def form(self) -> Version:
        """How its objects are written: over HTTP+JSON as in 1.0, which 0.3's are told as."""
        return self.version if self.rpc else "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a stream: the task or message that it begins with, a change of state, or an artifact."""

    task: TaskView | None = None
    message: Message | None = None
    status: TaskView | None = None
    artifact: tuple[TaskView, Artifact] | None = None
    append: bool = False
    """Whether the artifact's parts go on with those that were told, rather than take their place."""
    last: bool = True
    """Whether the artifact is whole with them."""


def read_call(wire: WireRequest, path: str) -> Call:
    """Understand a request whose path, below the agent's address and without its query, is `path`. Never raises."""
    rpc = path in ("", "/")
    try:
        return _read_rpc(wire) if rpc else _read_rest(wire, path)
    except Fault as fault:
        return Call(rpc=rpc, fault=fault)


# --- JSON-RPC ---


def _read_rpc(wire: WireRequest) -> Call:
    found = _body(wire)
    number = found.get("id")
    if isinstance(number, bool) or not isinstance(number, str | int | None):
        raise Fault("INVALID_REQUEST", "the id is neither text nor an integer")
    try:
        return _read_method(wire, found, number)
    except Fault as fault:
        return Call(rpc=True, id=number, version=_spoken(wire), fault=fault)


def _read_method(wire: WireRequest, found: JsonObject, number: str | int | None) -> Call:
    method, params = found.get("method"), found.get("params", {})
    if found.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise Fault("INVALID_REQUEST")
    version = _version(wire)
    operation = _METHODS[version].get(method)
    if operation is None:
        other: Version = "0.3" if version == "1.0" else "1.0"
        if method in _METHODS[other]:
            raise Fault("VERSION_NOT_SUPPORTED", f"{method[:80]} is of version {other}; the request is of {version}")
        raise Fault("METHOD_NOT_FOUND")
    if not isinstance(params, dict):
        raise Fault("INVALID_PARAMS", "params is no object")
    return Call(version=version, rpc=True, id=number, operation=operation, params=params)


def _body(wire: WireRequest) -> JsonObject:
    kind = wire.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, A2A_JSON):
        # A page in a browser may post text anywhere, but JSON only where it is allowed to.
        raise Fault("INVALID_REQUEST", "the content type is not application/json")
    try:
        return read_object(wire.body)
    except ValueError as problem:
        raise Fault("INVALID_REQUEST" if _is_json(wire.body) else "PARSE_ERROR", str(problem)) from None


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _version(wire: WireRequest) -> Version:
    given = wire.headers.get(VERSION_HEADER, "").strip()
    if not given:
        given = dict(parse_qsl(wire.path.partition("?")[2])).get("A2A-Version", "")
    if not given:
        return "0.3"
    read = _VERSION.fullmatch(given)
    if read is None or read[1] not in _METHODS:
        raise Fault("VERSION_NOT_SUPPORTED", "versions 1.0 and 0.3 are spoken here")
    return "1.0" if read[1] == "1.0" else "0.3"


def _spoken(wire: WireRequest) -> Version:
    try:
        return _version(wire)
    except Fault:
        return "1.0"


# --- HTTP+JSON ---


def _read_rest(wire: WireRequest, path: str) -> Call:
    below = path.removeprefix(http_0_3.PREFIX)
    version: Version = "1.0" if below == path else "0.3"
    try:
        if version == "1.0" or VERSION_HEADER in wire.headers:
            version = _version(wire)
        return _read_path(wire, below, version, as_1_0=below == path)
    except Fault as fault:
        return Call(rpc=False, version=version, fault=fault)


def _read_path(wire: WireRequest, path: str, version: Version, *, as_1_0: bool) -> Call:
    if version == "0.3" and as_1_0:
        raise Fault("VERSION_NOT_SUPPORTED", "over HTTP+JSON this path is of version 1.0; send A2A-Version")
    operation, params = route(wire.method, path, wire.path.partition("?")[2])
    if wire.body and operation in ("send", "stream"):
        body = _body(wire)
        params = {**(http_0_3.read(body) if version == "0.3" else body), **params}
    return Call(rpc=False, version=version, operation=operation, params=params)


# --- answers ---


def write_result(call: Call, result: JsonValue, headers: Mapping[str, str]) -> WireReply:
    """The answer that holds `result`."""
    body = write({"jsonrpc": "2.0", "id": call.id, "result": result} if call.rpc else _over_http(call, result))
    media = A2A_JSON if not call.rpc and call.version == "1.0" else JSON
    return WireReply(headers={"content-type": media, **headers}, body=body)


def write_sent(call: Call, sent: Message | TaskView, history_length: int | None) -> JsonObject:
    """The result of sending a message."""
    if isinstance(sent, Message):
        name, written = "message", write_message(sent, call.form)
    else:
        name, written = "task", write_task(sent, call.form, history_length=history_length)
    return written if call.form == "0.3" else {name: written}


def write_fault(call: Call, fault: Fault) -> WireReply:
    """The answer that is an error."""
    headers = {"content-type": JSON}
    if fault.retry_after is not None:
        headers["retry-after"] = str(max(1, round(fault.retry_after)))
    spelling = fault.spelling
    error: JsonObject
    if call.rpc:
        error = {"code": spelling.code, "message": str(fault), "data": fault.details()}
        body: JsonObject = {"jsonrpc": "2.0", "id": call.id, "error": error}
    else:
        error = {"code": spelling.http, "status": spelling.status, "message": str(fault), "details": fault.details()}
        body = {"error": error} if call.version == "1.0" else {"error": error, "message": str(fault)}
    return WireReply(status=fault.http(rpc=call.rpc), headers=headers, body=write(body))


def write_event(call: Call, event: Event) -> bytes:
    """One server-sent event."""
    result = _event_0_3(event) if call.form == "0.3" else _event_1_0(event)
    told = {"jsonrpc": "2.0", "id": call.id, "result": result} if call.rpc else _over_http(call, result)
    return b"data: " + write(told) + b"\n\n"


def _over_http(call: Call, result: JsonObject) -> JsonObject:
    return http_0_3.answer(result) if call.version == "0.3" else result


def _event_1_0(event: Event) -> JsonObject:
    if event.task is not None:
        return {"task": write_task(event.task, "1.0")}
    if event.message is not None:
        return {"message": write_message(event.message, "1.0")}
    if event.status is not None:
        return {"statusUpdate": {**_of(event.status), "status": write_status(event.status, "1.0")}}
    task, artifact = _artifact_of(event)
    update: JsonObject = {**_of(task), "artifact": write_artifact(artifact, "1.0"), "lastChunk": event.last}
    return {"artifactUpdate": {**update, "append": True} if event.append else update}


def _event_0_3(event: Event) -> JsonObject:
    if event.task is not None:
        return write_task(event.task, "0.3")
    if event.message is not None:
        return write_message(event.message, "0.3")
    if event.status is not None:
        # 0.3 ends a stream with an event that says so, and a question to the user ends it too.
        last = event.status.state not in ("submitted", "working")
        status = write_status(event.status, "0.3")
        return {"kind": "status-update", **_of(event.status), "status": status, "final": last}
    task, artifact = _artifact_of(event)
    written = write_artifact(artifact, "0.3")
    return {
        "kind": "artifact-update",
        **_of(task),
        "artifact": written,
        "append": event.append,
        "lastChunk": event.last,
    }


def _of(task: TaskView) -> JsonObject:
    return {"taskId": task.id, "contextId": task.context}


def _artifact_of(event: Event) -> tuple[TaskView, Artifact]:
    if event.artifact is None:
        raise ValueError("an event of a stream is one of four")
    return event.artifact
