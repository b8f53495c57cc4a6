"""A transport that shows a token where one is held, and gets one where a server asks for it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias

from negotiator.clock import Deadline
from negotiator.identity.signing import target_of
from negotiator.oauth.authorizer import Authorizer
from negotiator.oauth.challenge import Challenge, bearer_challenge
from negotiator.oauth.errors import AuthorizationNeeded
from negotiator.oauth.messages import bearer
from negotiator.wire import StreamTransport, Transport, WireReply, WireRequest

MAX_TURNS: Final = 3
"""Times that one request is sent: without a token, with one, and with one that is good for more."""
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_READING: Final = ("GET", "HEAD")

_Carry: TypeAlias = Callable[[WireRequest], Awaitable[WireReply]]


class AuthorizingTransport:
    """Another transport, with tokens on the requests to servers that ask for them."""

    def __init__(self, inner: Transport, authorizer: Authorizer) -> None:
        """Carry with `inner`."""
        self._inner = inner
        self._authorizer = authorizer

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `Transport.send`. A request that is refused for want of a token, and so not handled, is sent again.

        Raises also `AuthorizationNeeded` and `AuthorizationUntrusted`.
        """

        async def carry(wire: WireRequest) -> WireReply:
            return await self._inner.send(base_url, wire, deadline=deadline)

        return await self._authorized(base_url, request, deadline, carry)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        await self._inner.aclose()

    async def _authorized(self, base_url: str, request: WireRequest, deadline: Deadline, carry: _Carry) -> WireReply:
        if "authorization" in request.headers:
            return await carry(request)
        url = target_of(base_url, request).partition("?")[0]
        token = await self._authorizer.token(url, deadline)
        for turn in range(MAX_TURNS):
            shown = request if token is None else replace(request, headers={**request.headers, **bearer(token)})
            reply = await carry(shown)
            challenge = wanted(reply)
            if challenge is None:
                return reply
            if reply.chunks is not None:
                await reply.chunks.aclose()
            if turn == MAX_TURNS - 1:
                break
            # Nobody acts on what is only read: it is how it is found out who is there.
            looking = request.method in _READING
            try:
                token = await self._authorizer.another(url, challenge, token, deadline, looking=looking)
            except AuthorizationNeeded:
                if not looking:
                    raise
                return replace(reply, chunks=None)
        raise AuthorizationNeeded(f"{url} takes none of the tokens that are given for it")


class AuthorizingStreamTransport(AuthorizingTransport):
    """The same for a transport that hands over replies while they come."""

    def __init__(self, inner: StreamTransport, authorizer: Authorizer) -> None:
        """Carry with `inner`."""
        super().__init__(inner, authorizer)
        self._streams = inner

    async def open(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `StreamTransport.open`, and `AuthorizingTransport.send`."""

        async def carry(wire: WireRequest) -> WireReply:
            return await self._streams.open(base_url, wire, deadline=deadline)

        return await self._authorized(base_url, request, deadline, carry)


def authorizing(inner: Transport, authorizer: Authorizer) -> AuthorizingTransport:
    """`inner` with tokens."""
    if isinstance(inner, StreamTransport):
        return AuthorizingStreamTransport(inner, authorizer)
    return AuthorizingTransport(inner, authorizer)


def wanted(reply: WireReply) -> Challenge | None:
    """What a refusal asks for; None where it is none, or one that no token helps against."""
    said = reply.headers.get("www-authenticate", "")
    challenge = bearer_challenge(said)
    if reply.status == _UNAUTHORIZED:
        # Some say no more than the number.
        return Challenge("bearer") if challenge is None and not said.strip() else challenge
    if reply.status == _FORBIDDEN and challenge is not None:
        return challenge if challenge.parameters.get("error") == "insufficient_scope" else None
    return None
