"""The gate before an agent's doors: it finds out who asks, and lets in whom the trust policy hears.

GET <DID path>    the agent's own DID document, for everybody
GET /.well-known/oauth-protected-resource...
                  whose tokens the agent takes, for everybody (RFC 9728)
GET <agent card>  what must be proved, for everybody, and the rest of it to whom is heard
anything else     with its principal, to the door that the path leads to, unless a page sent it that is not heard
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson

from negotiator.dialects.addresses import A2A_CARD, A2A_EARLIER_CARD, MCP_PATH
from negotiator.dialects.json_body import read_object
from negotiator.errors import Overloaded
from negotiator.events import listener, listening
from negotiator.identity.authority import BEARER, Authority
from negotiator.identity.errors import AuthError, IdentityUnusable, NotProven
from negotiator.identity.messages import LABEL, authority_of
from negotiator.identity.trust import TrustPolicy
from negotiator.oauth.errors import TokenRefused
from negotiator.oauth.granted import granted_scopes, granting
from negotiator.pages import Pages
from negotiator.serving import ENGINE, ENGINE_HEADER
from negotiator.tracing import trace_of, tracing
from negotiator.wire import ANONYMOUS, Door, SeveralDoors, WireReply, WireRequest

if TYPE_CHECKING:
    from negotiator.identity.checker import Checker
    from negotiator.identity.identity import Identity
    from negotiator.oauth.checker import TokenChecker
    from negotiator.oauth.claims import Grant

ACCEPT_SIGNATURE: Final = f'{LABEL}=("@method" "@target-uri" "@authority" "content-digest");created;expires;nonce;keyid'
_WORTH_REPEATING: Final[frozenset[AuthError]] = frozenset(
    {"invalid_request", "invalid_nonce", "invalid_timestamp", "invalid_access_token", "invalid_content_digest"}
)

_STATUSES: Final = {"invalid_request": 401, "invalid_token": 401, "insufficient_scope": 403}

_log = logging.getLogger(__name__)


class Gate:
    """Doors behind a gate; a `SeveralDoors` like them."""

    def __init__(
        self,
        doors: SeveralDoors,
        *,
        checker: "Checker | None",
        trust: TrustPolicy,
        identity: "Identity | None",
        new_id: Callable[[], str],
        tokens: "TokenChecker | None" = None,
        authority: Authority | None = None,
        pages: Pages | None = None,
    ) -> None:
        """Stand before `doors`.

        Without a `checker`, and without `tokens`, nothing can be proved here but by the host's middleware. `authority`
        says which tools ask for a token that is good for more, `pages` which web pages are heard: those of this
        machine, where not given.
        """
        self._doors = doors
        self._checker = checker
        self._trust = trust
        self._hears_all = trust.callers == "anyone"
        self._identity = identity
        self._new_id = new_id
        self._tokens = tokens
        self._authority = authority or Authority()
        self._pages = pages or Pages()
        self._named: tuple[str | None, str | None] | None = None
        """The name and address of the last request that was let by for them: most come by the same."""
        self._realm = "agent" if identity is None else authority_of(identity.url)

    def at(self, path: str) -> Door:
        """See `SeveralDoors.at`."""
        return self._doors.at(path)

    def lets_by(self, principal: str, host: str | None, local: str | None) -> bool:
        """Whether a POST goes to its door as it is, and so does its reply, if it holds no proof, no token and no trace,
        and says nothing of a page but the name `host` that it came by, to the address `local`.
        """
        if self._tokens is not None or not (self._hears_all or self._trust.hears(principal)):
            return False
        if self._named != (host, local):
            if self._pages.refusal("POST", {} if host is None else {"host": host}, local) is not None:
                return False
            self._named = (host, local)
        return True

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request; raises only on cancellation."""
        try:
            if wire.method in ("GET", "HEAD") and (shown := await self._shown(wire.path)) is not None:
                return shown
            unheard = self._pages.refusal(wire.method, wire.headers, wire.local)
            if unheard is not None:
                _log.info("a request was refused: %s", unheard)
                return _plain(403, "not_allowed", unheard)
            wire, fields, scopes = await self._admitted(wire)
        except NotProven as refused:
            _log.info("a request was refused: %s", refused.error)
            return self._refused(wire, refused)
        except TokenRefused as refused:
            _log.info("a request was refused for its token: %s", refused.error)
            return self._token_refused(wire, refused)
        except Overloaded:
            return _plain(503, "overloaded", "too much work is under way; try again later")
        except IdentityUnusable:
            _log.exception("the identity of this agent cannot be used")
            return _plain(500, "internal_error", "this agent failed")
        trace = trace_of(wire.headers)
        if trace is not None or listener() is not None or scopes != granted_scopes():
            # In one process a peer's task may be the caller's own: what the caller hears and belongs to is not ours,
            # and what its token is good for neither.
            with tracing(trace), listening(None), granting(scopes):
                reply = await self._doors(wire)
        else:
            reply = await self._doors(wire)
        return replace(reply, headers={**reply.headers, **fields}) if fields else reply

    async def _shown(self, path: str) -> WireReply | None:
        """What everybody may read at a path; None where that is for a door to say."""
        if self._identity is not None and self._is_document(path):
            return _json(await self._identity.document())
        said = None if self._tokens is None else self._tokens.metadata_at(path.partition("?")[0])
        return None if said is None else _json(orjson.dumps(said), {"access-control-allow-origin": "*"})

    async def _admitted(self, wire: WireRequest) -> tuple[WireRequest, dict[str, str], frozenset[str]]:
        """The request with its principal, what the reply is to say of that, and what a token of it is good for.

        Raises `NotProven`, `TokenRefused`, `Overloaded`.
        """
        fields: dict[str, str] = {}
        grant: Grant | None = None
        if wire.principal == ANONYMOUS:
            token = self._token(wire)
            if token is not None and self._tokens is not None:
                grant = await self._tokens.check(token)
                wire = replace(wire, principal=grant.principal)
            elif self._checker is not None:
                proven = await self._checker.check(wire)
                if proven is not None:
                    wire, fields = replace(wire, principal=proven.holder.did), proven.fields
        if not self._trust.hears(wire.principal) and not _is_card(wire):
            error: AuthError = "invalid_request" if wire.principal == ANONYMOUS else "forbidden_did"
            raise NotProven(error, "this agent hears only callers that prove who they are, or that it knows")
        if self._tokens is not None and self._authority.scopes and (grant is not None or wire.principal == ANONYMOUS):
            # Elsewhere a tool that is not allowed is an answer; clients of MCP learn from the status what to ask for.
            tool = _tool_called(wire.body) if wire.path.partition("?")[0].rstrip("/") == MCP_PATH else None
            self._tokens.require(grant, () if tool is None else self._authority.scopes_for(tool))
        return wire, fields, frozenset() if grant is None else grant.scopes

    def _token(self, wire: WireRequest) -> str | None:
        """The OAuth token on a request; None where there is none, or one that this agent gave itself."""
        said = wire.headers.get("authorization", "")
        if self._tokens is None or said[: len(BEARER)].lower() != BEARER:
            return None
        token = said[len(BEARER) :].strip()
        return None if self._checker is not None and self._checker.gave(token) else token

    def _is_document(self, path: str) -> bool:
        if self._identity is None:
            return False
        return path.partition("?")[0] == document_path(self._identity)

    def _refused(self, wire: WireRequest, refused: NotProven) -> WireReply:
        if refused.error == "forbidden_did":
            return _plain(403, "not_allowed", str(refused))
        reply = _plain(401, "unauthenticated", f"who asks is not proved: {refused}")
        said = f'DIDWba realm="{self._realm}", error="{refused.error}", error_description="{_quotable(str(refused))}"'
        if refused.error in _WORTH_REPEATING:
            said += f', nonce="{self._new_id()}"'
        headers = {"www-authenticate": said, "accept-signature": ACCEPT_SIGNATURE}
        if self._tokens is not None:
            # First: some clients read no other.
            bearer = self._tokens.resource.challenge(wire.path, None)
            headers = {**headers, "www-authenticate": f"{bearer}, {said}"}
            if self._checker is None:
                headers = {"www-authenticate": bearer}
        return replace(reply, headers={**reply.headers, **headers})

    def _token_refused(self, wire: WireRequest, refused: TokenRefused) -> WireReply:
        status = _STATUSES[refused.error]
        code = "not_allowed" if status == 403 else "unauthenticated"  # noqa: PLR2004 - HTTP
        reply = _plain(status, code, str(refused))
        if self._tokens is None:
            return reply
        said = self._tokens.resource.challenge(wire.path, refused)
        return replace(reply, headers={**reply.headers, "www-authenticate": said})


def document_path(identity: "Identity") -> str:
    """Where below an agent its DID document is served; where that is not below it, where its host must serve it."""
    base = "/" + identity.url.partition("://")[2].partition("/")[2]
    path = identity.parsed.path
    return path.removeprefix(base) if base != "/" and path.startswith(base + "/") else path


def _is_card(wire: WireRequest) -> bool:
    return wire.method in ("GET", "HEAD") and wire.path.partition("?")[0] in (A2A_CARD, A2A_EARLIER_CARD)


def _tool_called(body: bytes) -> str | None:
    """The name of the tool that a message of MCP's calls; None where it calls none, or is no message."""
    try:
        message = read_object(body)
    except ValueError:
        return None
    params = message.get("params")
    if message.get("method") != "tools/call" or not isinstance(params, dict):
        return None
    name = params.get("name")
    return name if isinstance(name, str) else None


def _json(body: bytes, more: Mapping[str, str] | None = None) -> WireReply:
    headers = {"content-type": "application/json", "cache-control": "no-cache", "x-content-type-options": "nosniff"}
    return WireReply(headers={**headers, **(more or {})}, body=body)


def _plain(status: int, code: str, text: str) -> WireReply:
    """A reply in no dialect's own form, since the request is not read; Agora's parties understand it as theirs."""
    body = orjson.dumps({"status": "failure", "code": code, "error": text})
    return WireReply(status=status, headers={"content-type": "application/json", ENGINE_HEADER: ENGINE}, body=body)


def _quotable(text: str) -> str:
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in text).replace(
        '"', "'"
    )
