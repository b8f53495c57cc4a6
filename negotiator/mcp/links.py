"""How messages of MCP's client get to a server: the port, and what is the same over HTTP and by pipes."""

from collections.abc import Mapping
from typing import Final, Protocol

from negotiator.clock import Deadline
from negotiator.dialects.json_rpc import RpcError, error, result
from negotiator.dialects.mcp import progress
from negotiator.errors import PeerError, PeerMisspoke
from negotiator.events import listener
from negotiator.jsonvalue import JsonObject
from negotiator.mcp.elicitation import Elicit, reply_to

MAX_MESSAGE: Final = 4_194_304
"""Bytes of one message of a server's."""


class SessionEnded(PeerError):
    """The server knows the session no longer, and has done nothing: a new one may be begun."""


class Link(Protocol):
    """One way to one server."""

    http: bool
    """Whether messages travel with headers."""

    async def call(self, method: str, params: JsonObject, deadline: Deadline, headers: Mapping[str, str]) -> JsonObject:
        """One request and its result.

        Raises `RpcError` for an error of the server's, `SessionEnded`, `PeerUnreachable` where nothing was sent,
        `PeerHungUp` where something was and no response came, and `PeerMisspoke` where what came is none.
        """
        ...

    async def notify(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> None:
        """Send a notification. Raises as `call` does."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...


def outcome(message: JsonObject) -> JsonObject:
    """The result of a response. Raises `RpcError` and `PeerMisspoke`."""
    problem, made = message.get("error"), message.get("result")
    if isinstance(problem, dict):
        code, words = problem.get("code"), problem.get("message")
        raise RpcError(
            code if isinstance(code, int) else 0,
            words[:300] if isinstance(words, str) else "the server gave no reason",
            data=problem.get("data"),
        )
    if not isinstance(made, dict):
        raise PeerMisspoke("the server's response has neither a result nor an error")
    return made


async def answer_to(message: JsonObject, peer: str, elicit: Elicit | None) -> JsonObject | None:
    """The answer to something that a server asks of its client; None where it asked nothing."""
    identifier, method, params = message.get("id"), message.get("method"), message.get("params", {})
    if not isinstance(method, str) or not isinstance(identifier, str | int):
        return None
    try:
        return result(await reply_to(elicit, peer, method, params if isinstance(params, dict) else {}), identifier)
    except RpcError as problem:
        return error(RpcError(problem.code, str(problem), id=identifier))


def watched(method: str, params: JsonObject, number: int) -> JsonObject:
    """The parameters of a call that somebody listens to: its server is asked to tell how far it is."""
    if method != "tools/call" or listener() is None:
        return params
    meta = params.get("_meta")
    return {**params, "_meta": {**(meta if isinstance(meta, dict) else {}), progress.TOKEN: number}}
