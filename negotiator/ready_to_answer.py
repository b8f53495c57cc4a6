"""What stands ready to answer under a document: a routine around a safe tool, or a person's own function.

It is put together once, and what need not be done anew for each request is found out then; `answer_warm` goes by it.
"""

from collections.abc import Callable
from typing import Any, Final

import orjson

from negotiator.answer_exactly import native_result
from negotiator.answering import is_told, tell
from negotiator.bounded import keep
from negotiator.engine import DocumentSchemas, Engine, NativeTerms
from negotiator.errors import BadInput, PeerMisspoke
from negotiator.identity.authority import Authority
from negotiator.journal import canonical, result_text
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import Account, Ledger
from negotiator.mapping import Mapping
from negotiator.mapping.pointers import pointer
from negotiator.oauth.granted import granted_scopes
from negotiator.proposals import place_of
from negotiator.running import Runnable
from negotiator.schemas import Schema
from negotiator.shelf import MAX_READY
from negotiator.standing import Standing
from negotiator.task import Tool
from negotiator.wire import ANONYMOUS
from protocol_docs import AmbiguousAlias, ProtocolDocument
from sandbox import SandboxError

_FREE: Final = Account()
NOTHING_DONE: Final[Any] = object()
"""What stands for a request, or for its reply, where the ladder has to look."""


class _Ready(Standing):
    """What answers under one document."""

    __slots__ = ("allowed", "document", "flat", "hashes", "mapped", "moves_back")

    mapped: "ByRoutine | None"
    """Itself, where a tool and mappings around it are the whole of it."""

    def __init__(self, hashes: tuple[str, ...], document: ProtocolDocument, runnable: Runnable | None) -> None:
        super().__init__()
        self.hashes = hashes
        """The document's spellings, as those requests name it that come here."""
        self.document = document
        self.allowed: dict[str, Authority] = {}
        """Principals that have no token, with the table that allows them this."""
        self.flat = False
        """Whether what it takes is sure to be flat, and so need not be looked at for how deep it nests."""
        self.mapped = None
        self.moves_back = runnable is not None and runnable.straight and runnable.moves_back
        """Whether that makes plain JSON of whatever plain JSON the tool gives."""

    def is_as_it_was(self, engine: Engine) -> bool:
        """See `Standing.is_as_it_was`."""
        return engine.documents.stands(self.hashes[0], self.document)


class ByRoutine(_Ready):
    """A safe tool and the routine around it."""

    __slots__ = (
        "_bound",
        "_fits",
        "_flat_back",
        "_maker",
        "_map_back",
        "_map_into",
        "_reply",
        "runnable",
        "tally",
        "tool",
    )

    def __init__(
        self,
        hashes: tuple[str, ...],
        document: ProtocolDocument,
        schemas: DocumentSchemas,
        runnable: Runnable,
        tool: Tool,
    ) -> None:
        super().__init__(hashes, document, runnable)
        self.runnable = runnable
        self.tool = tool
        self._reply = schemas.reply
        # What each request calls, so that it is looked up once.
        self._fits = schemas.request.fits
        self._map_into, self._map_back = runnable.map_into, runnable.map_back
        self._bound = tool.bind or tool.bound
        self.flat = schemas.request.flat
        self.mapped = self if runnable.straight else None
        back = runnable.routine.back.mapping
        moves = back is not None and schemas.reply.flat and _reads_all(back, tool.output)
        self._maker = tool.output.maker if moves else None
        """What makes of a result what `_flat_back` makes a reply of: if that fits, it is plain JSON but for texts that
        are not Unicode, and the result was too. None where that is in doubt.
        """
        self._flat_back = None if back is None else back.compile_flat()

    def is_as_it_was(self, engine: Engine) -> bool:
        """See `Standing.is_as_it_was`."""
        tool, hash_ = self.tool, self.document.hash
        self.tally = engine.ledger.tally(place_of(tool))
        return (
            super().is_as_it_was(engine)
            and engine.routines.get(hash_, "receiver", engine.toolset) is self.runnable
            and engine.tools.get(tool.name) is tool
            and hash_ not in engine.natives
        )

    def count(self, _ledger: Ledger) -> None:
        """Enter that it has answered."""
        self.tally.number += 1

    def takes(self, body: JsonValue) -> Any:
        """A request's body, as `run` is to have it; `NOTHING_DONE` where that is for the ladder to see."""
        # What is called is taken out first: CPython 3.11 is quick to load an attribute, and not to call one so held.
        fits, map_into, bound = self._fits, self._map_into, self._bound
        try:
            if not fits(body):
                return NOTHING_DONE
            return body if self.mapped is None else bound(map_into(body))
        except Exception:  # noqa: BLE001 - of a person's own type too: the ladder meets it again, and tells it
            return NOTHING_DONE

    def may(self, authority: Authority, principal: str) -> bool:
        """Whether a principal may have it run."""
        tool = self.tool
        granted = granted_scopes()
        return authority.allows(principal, tool.name, tool.effect, "routine", public=tool.is_public, granted=granted)

    def told(self, given: Any, body: JsonValue, written: bool) -> JsonValue | bytes:  # noqa: FBT001 - as `answer_warm`
        """The reply's body for what the tool's function gave, where a mapping makes it. If it is to be `written`, perhaps
        its bytes. Raises `ToolFailed` and `ResultUnread`.
        """
        maker, flat_back, fits = self._maker, self._flat_back, self._reply.fits
        if maker is not None and flat_back is not None:
            try:
                if (made := flat_back(maker(given))) is not None and fits(made):
                    data = orjson.dumps(made)
                    return data if written else made
            except Exception:  # noqa: BLE001, S110 - it is met again below, and told
                pass
        map_back, result = self._map_back, _result(self.tool, given)
        try:
            made = map_back(result)
            self._reply.check(made)
            if not self.moves_back:
                canonical(made)
        except BadInput as error:
            raise ResultUnread(self, self._map_into(body), result, error) from error
        return made

    async def run(self, taken: Any, principal: str) -> JsonValue:
        """The reply's body where source is run, or `NOTHING_DONE`. Raises `ResultUnread`, and what the tool does."""
        tool = self.tool
        runnable = self.runnable.on_behalf_of("stranger" if principal == ANONYMOUS else "known")
        try:
            arguments = await runnable.into(taken)
            keywords = tool.bound(arguments)
        except (BadInput, PeerMisspoke, SandboxError):
            return NOTHING_DONE
        if is_told():
            tell(tool.name, tool.effect, principal, "routine", allowed=True)
        result = _result(tool, await tool.given(keywords))
        try:
            made = await runnable.back(result)
            self._reply.check(made)
            canonical(made)
        except (BadInput, PeerMisspoke, SandboxError) as error:
            raise ResultUnread(self, arguments, result, error) from error
        return made


class Natively(_Ready):
    """A person's own function, safe."""

    __slots__ = ("_function", "_terms")

    def __init__(
        self,
        hashes: tuple[str, ...],
        document: ProtocolDocument,
        function: Callable[[JsonValue], Any],
        terms: NativeTerms,
    ) -> None:
        super().__init__(hashes, document, None)
        self._function = function
        self._terms = terms

    def is_as_it_was(self, engine: Engine) -> bool:
        """See `Standing.is_as_it_was`."""
        hash_ = self.document.hash
        return (
            super().is_as_it_was(engine)
            and engine.natives.get(hash_) is self._function
            and engine.native_terms.get(hash_) is self._terms
        )

    def count(self, ledger: Ledger) -> None:
        """See `ByRoutine.count`."""
        ledger.exchange("receiver", "routine", "receiver", _FREE)

    def takes(self, body: JsonValue) -> Any:
        """See `ByRoutine.takes`."""
        return body

    def may(self, authority: Authority, principal: str) -> bool:
        """See `ByRoutine.may`."""
        terms, granted = self._terms, granted_scopes()
        return authority.allows(principal, terms.name, terms.effect, "routine", public=terms.public, granted=granted)

    async def run(self, taken: Any, principal: str) -> JsonValue:
        """The reply's body. Raises what the function does."""
        if is_told():
            tell(self._terms.name, self._terms.effect, principal, "routine", allowed=True)
        return await native_result(self._function, taken)


Ready = ByRoutine | Natively


class ResultUnread(Exception):
    """The tool was called, and the routine could not make the reply: whoever takes over must not call it again."""

    def __init__(self, ready: ByRoutine, arguments: JsonObject, result: JsonValue, error: Exception) -> None:
        super().__init__("the routine failed after the call")
        self.ready = ready
        self.arguments = arguments
        self.result = result
        self.error = error


def ready_for(engine: Engine, hashes: tuple[str, ...]) -> Ready | None:
    """What stands ready for the document of these spellings, and still stands as it was; None where there is doubt.

    Raises `protocol_docs.StoreUnusable`.
    """
    found: Ready | None = engine.ready.get(hashes)
    if found is None:
        found = _made_ready(engine, hashes) if hashes else None
        if found is None:
            return None
    # Revoked, demoted, replaced by another process, another tool, another function: it is looked at each time.
    if found.stands(engine):
        return found
    del engine.ready[hashes]
    return None


def _made_ready(engine: Engine, hashes: tuple[str, ...]) -> Ready | None:
    try:
        document = engine.documents.get(hashes[0])
    except AmbiguousAlias:
        return None
    if document is None or not set(hashes) <= set(document.aliases):
        return None
    made = _native if document.hash in engine.natives else _routine
    ready = made(engine, hashes, document)
    if ready is not None:
        keep(engine.ready, hashes, ready, MAX_READY)
    return ready


def _native(engine: Engine, hashes: tuple[str, ...], document: ProtocolDocument) -> Ready | None:
    terms = engine.native_terms[document.hash]
    return Natively(hashes, document, engine.natives[document.hash], terms) if terms.effect == "safe" else None


def _routine(engine: Engine, hashes: tuple[str, ...], document: ProtocolDocument) -> Ready | None:
    runnable, schemas = engine.routines.get(document.hash, "receiver", engine.toolset), engine.schemas_of(document)
    if runnable is None or schemas is None or not runnable.routine.firm or runnable.routine.whole:
        return None
    tool = engine.tools.get(runnable.routine.tool or "")
    return None if tool is None or tool.effect != "safe" else ByRoutine(hashes, document, schemas, runnable, tool)


def _result(tool: Tool, given: Any) -> JsonValue:
    """What the tool's function gave, as JSON that can be written. Raises `ToolFailed`."""
    result = tool.said(given)
    result_text(tool.name, result)
    return result


def _reads_all(mapping: Mapping, schema: Schema) -> bool:
    """Whether a mapping reads each field of an object."""
    return {field.source for field in mapping.fields} >= {
        pointer((name,)) for name in schema.json_schema.get("properties", {})
    }
