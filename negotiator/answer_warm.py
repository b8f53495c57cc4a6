"""The receiver's straight line: a safe tool, a mapping in both directions, and nothing in doubt.

What stands ready for a document is looked up once; a request then takes a check, a mapping, the tool, a mapping and a
check. It reads no store, starts no task and sets no timer of its own. Where anything is in doubt nothing is done here,
and the ladder in `answer` takes the request as if nothing had been tried.
"""

from typing import Any, Final, NamedTuple

from negotiator.answering import is_told, require
from negotiator.bounded import keep
from negotiator.clock import Deadline
from negotiator.context import context_of, within
from negotiator.conversations import Turn
from negotiator.engine import DocumentSchemas, Engine
from negotiator.errors import BadInput
from negotiator.identity.authority import Authority
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import Place
from negotiator.oauth.granted import granted_scopes
from negotiator.respond import place_of
from negotiator.running import Runnable
from negotiator.shelf import MAX_READY
from negotiator.task import Tool
from protocol_docs import AmbiguousAlias, ProtocolDocument

MAX_ALLOWED: Final = 256
"""Principals that are remembered as allowed, for each document that stands ready."""
NOTHING_DONE: Final[Any] = object()
"""What `answer_warm` returns where the ladder has to look."""


class Ready(NamedTuple):
    """What a request under one document needs."""

    document: ProtocolDocument
    schemas: DocumentSchemas
    runnable: Runnable
    tool: Tool
    place: Place
    """Where the ledger counts it."""
    allowed: dict[str, Authority]
    """Principals that have no token, with the table that allows them the tool."""


class ResultUnread(Exception):
    """The tool was called, and the mapping could not make the reply: whoever takes over must not call it again."""

    def __init__(self, arguments: JsonObject, result: JsonValue, error: BadInput) -> None:
        super().__init__("the mapping failed after the call")
        self.arguments = arguments
        self.result = result
        self.error = error


def ready_for(engine: Engine, hashes: tuple[str, ...]) -> Ready | None:
    """What stands ready for the document of these spellings, and still stands as it was; None where there is doubt.

    Raises `protocol_docs.StoreUnusable`.
    """
    found: Ready | None = engine.ready.get(hashes)
    if found is None:
        return _made_ready(engine, hashes) if hashes else None
    document, tool = found.document, found.tool
    # Revoked, demoted, replaced by another process: each look is one in memory.
    if (
        engine.documents.stands(hashes[0], document)
        and engine.routines.get(document.hash, "receiver", engine.toolset) is found.runnable
        and engine.tools.get(tool.name) is tool
        and document.hash not in engine.natives
    ):
        return found
    del engine.ready[hashes]
    return None


def _made_ready(engine: Engine, hashes: tuple[str, ...]) -> Ready | None:
    try:
        document = engine.documents.get(hashes[0])
    except AmbiguousAlias:
        return None
    if document is None or document.hash in engine.natives or not set(hashes) <= set(document.aliases):
        return None
    runnable, schemas = engine.routines.get(document.hash, "receiver", engine.toolset), engine.schemas_of(document)
    tool = None if runnable is None else engine.tools.get(runnable.routine.tool or "")
    if runnable is None or tool is None or schemas is None or tool.effect != "safe" or not runnable.straight:
        return None
    ready = Ready(document, schemas, runnable, tool, place_of(tool), {})
    keep(engine.ready, hashes, ready, MAX_READY)
    return ready


async def answer_warm(
    engine: Engine,
    ready: Ready,
    body: JsonValue,
    principal: str,
    deadline: Deadline,
    history: tuple[Turn, ...] = (),
) -> JsonValue:
    """The reply's body; `NOTHING_DONE` where nothing was done.

    Raises `ResultUnread`, and what the ladder would: `NotAllowed`, and what the tool raises.
    """
    _, schemas, runnable, tool, place, allowed = ready
    if not schemas.request.is_valid(body):
        return NOTHING_DONE
    try:
        run = tool.ready(runnable.map_into(body))
    except BadInput:
        return NOTHING_DONE
    # A table never changes: whom it allowed something once, it allows it. Who is told of each use is told of each.
    if allowed.get(principal) is not engine.authority or granted_scopes() or is_told():
        require(engine, principal, "routine", tool.name, tool.effect, public=tool.is_public)
        if not granted_scopes():
            keep(allowed, principal, engine.authority, MAX_ALLOWED)
    try:
        context = context_of(principal=principal, deadline=deadline, request=engine.new_id, history=history)
        result = await within(context, run)
    except BaseException:
        engine.ledger.warm(place)
        raise
    try:
        made = runnable.map_back(result)
        schemas.reply.check(made)
    except BadInput as error:
        raise ResultUnread(runnable.map_into(body), result, error) from error
    engine.ledger.warm(place)
    return made
