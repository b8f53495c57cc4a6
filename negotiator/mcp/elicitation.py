"""What a server of MCP asks in the middle of a call (elicitation), and who answers: the owner of this agent, or nobody.

No model of ours is asked: what a stranger wants to know is for a person, or for a program that stands for one.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from negotiator.dialects.json_rpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from negotiator.errors import BadInput, UsageError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.schemas import Schema

METHOD: Final = "elicitation/create"
CAPABILITY: Final[JsonObject] = {"elicitation": {"form": {}}}
"""What is said of ourselves where somebody answers."""
MAX_MESSAGE: Final = 2_000
MAX_FIELDS: Final = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a server asks before it goes on. Its words are the server's own: show them as such."""

    peer: str
    """The server's address."""
    message: str
    schema: JsonObject
    """JSON Schema of the answer, an object of plain fields; those that have a default may be left out."""


Elicit: TypeAlias = Callable[[Question], Awaitable[Mapping[str, JsonValue] | None]]
"""Gives the answer to a question, or None where there is none."""


async def answered(elicit: Elicit, peer: str, params: JsonObject) -> JsonObject:
    """The result of `elicitation/create`: what was answered, with the defaults of what was left out.

    Raises `RpcError` for a question that is none.
    """
    message, schema = params.get("message"), params.get("requestedSchema")
    fields = schema.get("properties") if isinstance(schema, dict) else None
    if params.get("mode", "form") != "form" or not isinstance(message, str) or not isinstance(schema, dict):
        raise RpcError(INVALID_PARAMS, "only forms are answered here")
    if not isinstance(fields, dict) or len(fields) > MAX_FIELDS:
        raise RpcError(INVALID_PARAMS, "the form has no fields, or too many")
    try:
        check = Schema.of(schema)
    except UsageError:
        raise RpcError(INVALID_PARAMS, "the form's schema cannot be used") from None
    given = await elicit(Question(peer=peer, message=message[:MAX_MESSAGE], schema=schema))
    if given is None:
        return {"action": "decline"}
    content: dict[str, Any] = {**_defaults(fields), **given}
    try:
        check.check(content)
    except BadInput as problem:
        where = "; ".join(f"{pointer or '/'}: {what}" for pointer, what in problem.violations[:5])
        raise UsageError(f"the answer to {peer} does not fit its form: {where}") from problem
    return {"action": "accept", "content": content}


async def reply_to(elicit: Elicit | None, peer: str, method: str, params: JsonObject) -> JsonObject:
    """The result of a request that a server makes of its client. Raises `RpcError`."""
    if method == "ping":
        return {}
    if method != METHOD or elicit is None:
        raise RpcError(METHOD_NOT_FOUND, "this client offers no such thing")
    try:
        return await answered(elicit, peer, params)
    except RpcError:
        raise
    except Exception as problem:  # noqa: BLE001 - the server waits for an answer, whatever became of it here
        _log.warning("a question of %.200r was not answered: %s", peer, type(problem).__name__)
        return {"action": "cancel"}


def _defaults(fields: JsonObject) -> JsonObject:
    return {name: field["default"] for name, field in fields.items() if isinstance(field, dict) and "default" in field}
