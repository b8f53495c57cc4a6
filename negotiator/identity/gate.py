"""The gate before an agent's doors: it finds out who asks, and lets in whom the trust policy hears.

GET <DID path>    the agent's own DID document, for everybody
anything else     with its principal, to the door that the path leads to
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import orjson

from negotiator.errors import Overloaded
from negotiator.events import listener, listening
from negotiator.identity.checker import Checker
from negotiator.identity.errors import AuthError, IdentityUnusable, NotProven
from negotiator.identity.identity import Identity
from negotiator.identity.messages import LABEL, authority_of
from negotiator.identity.trust import TrustPolicy
from negotiator.serving import ENGINE, ENGINE_HEADER
from negotiator.tracing import trace_of, tracing
from negotiator.wire import ANONYMOUS, Door, SeveralDoors, WireReply, WireRequest

ACCEPT_SIGNATURE: Final = f'{LABEL}=("@method" "@target-uri" "@authority" "content-digest");created;expires;nonce;keyid'
_WORTH_REPEATING: Final[frozenset[AuthError]] = frozenset(
    {"invalid_request", "invalid_nonce", "invalid_timestamp", "invalid_access_token", "invalid_content_digest"}
)

_log = logging.getLogger(__name__)


class Gate:
    """Doors behind a gate; a `SeveralDoors` like them."""

    def __init__(
        self,
        doors: SeveralDoors,
        *,
        checker: Checker | None,
        trust: TrustPolicy,
        identity: Identity | None,
        new_id: Callable[[], str],
    ) -> None:
        """Stand before `doors`. Without a `checker` nothing can be proved here but by the host's middleware."""
        self._doors = doors
        self._checker = checker
        self._trust = trust
        self._identity = identity
        self._new_id = new_id
        self._realm = "agent" if identity is None else authority_of(identity.url)

    def at(self, path: str) -> Door:
        """See `SeveralDoors.at`."""
        return self._doors.at(path)

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request; raises only on cancellation."""
        try:
            if self._identity is not None and wire.method in ("GET", "HEAD") and self._is_document(wire.path):
                return await self._document(self._identity)
            wire, fields = await self._admitted(wire)
        except NotProven as refused:
            _log.info("a request was refused: %s", refused.error)
            return self._refused(refused)
        except Overloaded:
            return _plain(503, "overloaded", "too much work is under way; try again later")
        except IdentityUnusable:
            _log.exception("the identity of this agent cannot be used")
            return _plain(500, "internal_error", "this agent failed")
        trace = trace_of(wire.headers)
        if trace is not None or listener() is not None:
            # In one process a peer's task may be the caller's own: what the caller hears and belongs to is not ours.
            with tracing(trace), listening(None):
                reply = await self._doors(wire)
        else:
            reply = await self._doors(wire)
        return replace(reply, headers={**reply.headers, **fields}) if fields else reply

    async def _admitted(self, wire: WireRequest) -> tuple[WireRequest, dict[str, str]]:
        """The request with its principal, and what the reply is to say of that. Raises `NotProven`, `Overloaded`."""
        fields: dict[str, str] = {}
        if wire.principal == ANONYMOUS and self._checker is not None:
            proven = await self._checker.check(wire)
            if proven is not None:
                wire, fields = replace(wire, principal=proven.holder.did), proven.fields
        if not self._trust.hears(wire.principal):
            error: AuthError = "invalid_request" if wire.principal == ANONYMOUS else "forbidden_did"
            raise NotProven(error, "this agent hears only callers that prove who they are, or that it knows")
        return wire, fields

    def _is_document(self, path: str) -> bool:
        if self._identity is None:
            return False
        return path.partition("?")[0] == document_path(self._identity)

    async def _document(self, identity: Identity) -> WireReply:
        headers = {"content-type": "application/json", "cache-control": "no-cache", "x-content-type-options": "nosniff"}
        return WireReply(headers=headers, body=await identity.document())

    def _refused(self, refused: NotProven) -> WireReply:
        if refused.error == "forbidden_did":
            return _plain(403, "not_allowed", str(refused))
        reply = _plain(401, "unauthenticated", f"who asks is not proved: {refused}")
        said = f'DIDWba realm="{self._realm}", error="{refused.error}", error_description="{_quotable(str(refused))}"'
        if refused.error in _WORTH_REPEATING:
            said += f', nonce="{self._new_id()}"'
        headers = {**reply.headers, "www-authenticate": said, "accept-signature": ACCEPT_SIGNATURE}
        return replace(reply, headers=headers)


def document_path(identity: Identity) -> str:
    """Where below an agent its DID document is served; where that is not below it, where its host must serve it."""
    base = "/" + identity.url.partition("://")[2].partition("/")[2]
    path = identity.parsed.path
    return path.removeprefix(base) if base != "/" and path.startswith(base + "/") else path


def _plain(status: int, code: str, text: str) -> WireReply:
    """A reply in no dialect's own form, since the request is not read; Agora's parties understand it as theirs."""
    body = orjson.dumps({"status": "failure", "code": code, "error": text})
    return WireReply(status=status, headers={"content-type": "application/json", ENGINE_HEADER: ENGINE}, body=body)


def _quotable(text: str) -> str:
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in text).replace(
        '"', "'"
    )
