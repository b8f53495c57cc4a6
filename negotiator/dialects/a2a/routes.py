"""The addresses of A2A's HTTP+JSON, below an agent's own; 0.3's have `/v1` before them."""

import re
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl

from negotiator.dialects.a2a.faults import Fault
from negotiator.jsonvalue import JsonObject

Operation: TypeAlias = Literal["send", "stream", "get", "list", "cancel", "subscribe", "push", "extended_card"]

_TASK_PATH: Final = re.compile(r"/tasks/([^/:]{1,255})(?::(cancel|subscribe)|(/pushNotificationConfigs(?:/[^/]+)?))?")
_QUERY_NUMBERS: Final = ("historyLength", "pageSize")


def route(method: str, path: str, query: str) -> tuple[Operation, JsonObject]:
    """The operation that a request asks for, with the parameters that its address holds. Raises `Fault`."""
    get, post = method in ("GET", "HEAD"), method == "POST"
    match path:
        case "/message:send" if post:
            return "send", {}
        case "/message:stream" if post:
            return "stream", {}
        case "/tasks" if get:
            return "list", _read_query(query)
        case "/extendedAgentCard" | "/card" if get:
            return "extended_card", {}
    found = _TASK_PATH.fullmatch(path)
    if found is None:
        raise Fault("METHOD_NOT_FOUND")
    named: JsonObject = {"id": found[1]}
    if found[3]:
        return "push", named
    if found[2] == "cancel" and post:
        return "cancel", named
    if found[2] == "subscribe" and (post or get):
        return "subscribe", named
    if found[2] is None and get:
        return "get", _read_query(query) | named
    raise Fault("METHOD_NOT_FOUND")


def read_count(params: JsonObject, name: str) -> int | None:
    """A number from 0 on that may be missing. Raises `Fault`."""
    given = params.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise Fault("INVALID_PARAMS", f"{name} is no number from 0 on")
    return given


def _read_query(query: str) -> JsonObject:
    given: dict[str, Any] = dict(parse_qsl(query, max_num_fields=32))
    for name in _QUERY_NUMBERS:
        if name in given:
            try:
                given[name] = int(given[name][:10])
            except ValueError:
                raise Fault("INVALID_PARAMS", f"{name} is no integer") from None
    if "includeArtifacts" in given:
        given["includeArtifacts"] = given["includeArtifacts"].lower() == "true"
    return given
