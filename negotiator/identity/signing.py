"""A transport that proves, on each request, who sends it."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from negotiator.bounded import keep
from negotiator.clock import Clock, Deadline
from negotiator.identity.identity import Identity
from negotiator.identity.messages import WINDOW_SECONDS, Message, Terms, signature_fields, to_sign
from negotiator.loopback import is_loopback
from negotiator.oauth.challenge import read_challenges
from negotiator.wire import StreamTransport, Transport, WireReply, WireRequest

_MAX_TOKENS: Final = 1024
_MAX_TOKEN: Final = 4096
_PART: Final = re.compile(r'([a-z_]{1,32})=(?:"([ !#-\[\]-~]{0,4096})"|([!#-+\--~]{1,4096}))', re.IGNORECASE)
_FINAL: Final = frozenset({"invalid_did", "invalid_verification_method", "forbidden_did"})
"""What another signature would not change."""
_NEARLY_OVER_SECONDS: Final = 30.0
_REFUSED: Final = 401


class SigningTransport:
    """Another transport, with every request signed, or with the token that a signature was given for."""

    def __init__(self, inner: Transport, identity: Identity, clock: Clock, new_id: Callable[[], str]) -> None:
        """Sign as `identity` what `inner` carries. `new_id` makes nonces: unguessable, of printable ASCII."""
        self._inner = inner
        self._identity = identity
        self._clock = clock
        self._new_id = new_id
        self._tokens: dict[str, tuple[float, str]] = {}

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `Transport.send`. A request that is refused for its proof, and so not handled, is sent once more.

        Raises also `IdentityUnusable`.
        """
        reply = await self._inner.send(base_url, await self._proved(base_url, request), deadline=deadline)
        if reply.status == _REFUSED and (challenge := _challenge(reply)) is not None:
            self._tokens.pop(base_url, None)
            if challenge.get("error", "") not in _FINAL:
                again = await self._proved(base_url, request, nonce=challenge.get("nonce"))
                reply = await self._inner.send(base_url, again, deadline=deadline)
        self._learn(base_url, reply)
        return reply

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._inner.aclose()

    async def _proved(self, base_url: str, request: WireRequest, *, nonce: str | None = None) -> WireRequest:
        """The request with a proof; as it is, where its sender gave it one of another kind."""
        if "authorization" in request.headers or "signature" in request.headers:
            return request
        until, token = self._tokens.get(base_url, (0.0, ""))
        if until > self._clock.time() and nonce is None:
            return replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})
        now = int(self._clock.time())
        key_id = self._identity.key_id
        message = Message(
            method=request.method, target=target_of(base_url, request), headers=request.headers, body=request.body
        )
        terms = Terms(created=now, expires=now + WINDOW_SECONDS, nonce=nonce or self._new_id(), key_id=key_id)
        fields, line, base = to_sign(message, terms)
        made = signature_fields(line, await self._identity.sign(base, key_id=key_id))
        return replace(request, headers={**request.headers, **fields, **made})

    def _learn(self, base_url: str, reply: WireReply) -> None:
        said = _parts(reply.headers.get("authentication-info", ""))
        token, seconds = said.get("access_token", ""), said.get("expires_in", "")
        if said.get("token_type", "bearer").lower() != "bearer" or not _confidential(base_url):
            return
        if 0 < len(token) <= _MAX_TOKEN and " " not in token and seconds.isdecimal():
            until = self._clock.time() + float(seconds[:9]) - _NEARLY_OVER_SECONDS
            keep(self._tokens, base_url, (until, token), _MAX_TOKENS)


class SigningStreamTransport(SigningTransport):
    """The same for a transport that hands over replies while they come."""

    def __init__(self, inner: StreamTransport, identity: Identity, clock: Clock, new_id: Callable[[], str]) -> None:
        """See `SigningTransport`."""
        super().__init__(inner, identity, clock, new_id)
        self._streams = inner

    async def open(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `StreamTransport.open`, and `SigningTransport.send`."""
        reply = await self._streams.open(base_url, await self._proved(base_url, request), deadline=deadline)
        if reply.status == _REFUSED and (challenge := _challenge(reply)) is not None:
            self._tokens.pop(base_url, None)
            if challenge.get("error", "") not in _FINAL:
                if reply.chunks is not None:
                    await reply.chunks.aclose()
                again = await self._proved(base_url, request, nonce=challenge.get("nonce"))
                reply = await self._streams.open(base_url, again, deadline=deadline)
        self._learn(base_url, reply)
        return reply


def signing(inner: Transport, identity: Identity, clock: Clock, new_id: Callable[[], str]) -> SigningTransport:
    """`inner` with every request proved."""
    if isinstance(inner, StreamTransport):
        return SigningStreamTransport(inner, identity, clock, new_id)
    return SigningTransport(inner, identity, clock, new_id)


def target_of(base_url: str, request: WireRequest) -> str:
    """The URI of a request to a peer, as its transport sends it."""
    url = base_url if request.path == "/" else base_url.rstrip("/") + request.path
    return url if "/" in url.partition("://")[2] else url + "/"


def _confidential(base_url: str) -> bool:
    """Whether nobody on the way reads what a reply says. A token is as good as its bearer."""
    parts = urlsplit(base_url)
    return parts.scheme != "http" or is_loopback(parts.hostname or "")


def _challenge(reply: WireReply) -> dict[str, str] | None:
    """What a peer says of a proof that it did not take; None where it says nothing of ANP-02's kind."""
    asked = read_challenges(reply.headers.get("www-authenticate", ""))
    return next((dict(each.parameters) for each in asked if each.scheme == "didwba"), None)


def _parts(text: str) -> dict[str, str]:
    return {found[1].lower(): found[2] or found[3] or "" for found in _PART.finditer(text[:16_384])}
