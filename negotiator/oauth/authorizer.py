"""The client's side of OAuth, top to bottom: which token is shown to whom, and how one is got where none will do."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from negotiator.bounded import keep
from negotiator.clock import Clock, Deadline
from negotiator.dialects.a2a.security import Scheme, Security, chosen
from negotiator.oauth.challenge import Challenge
from negotiator.oauth.discovery import Discovery, Exchange
from negotiator.oauth.errors import AuthorizationNeeded, AuthorizationUntrusted
from negotiator.oauth.issuance import Issuance
from negotiator.oauth.kept import Held, Kept
from negotiator.oauth.messages import TokenDenied
from negotiator.oauth.metadata import confidential, origin
from negotiator.oauth.terms import OAuthClient
from negotiator.oauth.ways import OAUTH, Ways

DECLINED_SECONDS: Final = 60.0
"""How long nobody is asked again after nothing came of it: one request may knock several times."""
_MAX_DECLINED: Final = 256


class Authorizer:
    """The authorizations of one agent. Safe to call from several tasks and event loops."""

    def __init__(
        self, terms: OAuthClient, exchange: Exchange, kept: Kept, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        """Get tokens as `terms` have it.

        Args:
            terms: What the owner allows.
            exchange: Requests under guard: addresses are named by strangers.
            kept: What is held already.
            clock: Where time comes from.
            new_id: Unguessable identifiers, of letters that a URL holds as they are.
        """
        self._terms = terms
        self._ways = Ways(terms, Discovery(exchange, clock))
        self._issuance = Issuance(terms, exchange, kept, clock, new_id)
        self._kept = kept
        self._clock = clock
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()
        self._tasks: WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[str]]] = WeakKeyDictionary()
        self._declined: dict[tuple[str, tuple[str, ...]], tuple[float, str]] = {}

    async def token(self, url: str, deadline: Deadline) -> str | None:
        """The token to show to `url`, renewed where it is about to end; None where none is held."""
        given = self._terms.token_for(url)
        if given is not None:
            return given
        held = self._kept.find(url)
        if held is None or not confidential(url):
            return None
        if not self._issuance.ends(held.token):
            return held.token.access
        if held.token.refresh is None:
            return None
        with suppress(AuthorizationNeeded, AuthorizationUntrusted):
            return await self._alone(url, deadline, lambda: self._renewed(url, held))
        return None

    async def another(
        self, url: str, challenge: Challenge, shown: str | None, deadline: Deadline, *, looking: bool = False
    ) -> str:
        """A token that may do where `shown` did not, or none was shown.

        `looking`: it is only being found out what speaks there. Then a server has to say of itself whose tokens it
        takes, and that nothing comes of it says nothing of what is asked later.

        Raises `AuthorizationNeeded`, and `AuthorizationUntrusted`.
        """
        if not confidential(url):
            raise AuthorizationNeeded(f"{url} asks for an authorization, which is given over https alone")
        if self._terms.token_for(url) is not None:
            raise AuthorizationNeeded(f"{url} does not take the token that was given for it")
        if looking:
            return await self._alone(url, deadline, lambda: self._another(url, challenge, shown, looking=True))
        return await self._alone(url, deadline, lambda: self._noted(url, challenge, shown))

    async def prepare(self, url: str, security: Security, deadline: Deadline, *, signed: bool) -> None:
        """Have a token for an agent whose card asks for one, or another of what it takes for a proof.

        `signed`: whether requests are signed with the key of a DID. What the agent says of itself, as a protected
        resource, comes before what its card says.

        Raises `AuthorizationNeeded` where nothing that the card takes is at hand, and `AuthorizationUntrusted`.
        """
        self._ways.card(url, security)
        if await self.token(url, deadline) is not None:
            return
        met = chosen(security, lambda scheme: self._has(scheme, signed=signed))
        if met is None:
            kinds = ", ".join(sorted({each.kind for each in security.schemes.values()})) or "nothing that it names"
            raise AuthorizationNeeded(f"{url} takes {kinds} for a proof, of which nothing is at hand")
        scopes = [scope for scheme, asked in met if scheme.kind in OAUTH for scope in asked]
        if any(scheme.kind in OAUTH for scheme, _ in met):
            await self.another(url, Challenge("bearer", {"scope": " ".join(scopes)}), None, deadline)

    def _has(self, scheme: Scheme, *, signed: bool) -> bool:
        if scheme.kind == "http":
            return signed and scheme.http == "didwba"
        if scheme.kind not in OAUTH:
            return False
        own = any(client.grant == "client_credentials" for client in self._terms.clients.values())
        return own or (self._terms.authorize is not None and (scheme.kind != "oauth2" or not _only_own(scheme)))

    async def aclose(self) -> None:
        """Give up what is under way in this event loop."""
        tasks = self._tasks.pop(asyncio.get_running_loop(), set())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one at a time for each origin ---

    async def _alone(self, url: str, deadline: Deadline, work: Callable[[], Awaitable[str]]) -> str:
        """What `work` comes to, once it is its turn. It goes on where who wants it can wait no longer."""
        loop = asyncio.get_running_loop()
        lock = self._locks.setdefault(loop, {}).setdefault(origin(url), asyncio.Lock())
        tasks = self._tasks.setdefault(loop, set())

        async def in_turn() -> str:
            async with lock:
                return await work()

        task = loop.create_task(in_turn())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            async with asyncio.timeout(max(deadline.remaining(), 0)) as timer:
                return await asyncio.shield(task)
        except TimeoutError:
            if not timer.expired():
                raise
            # What comes of it is for the next request to find; a failure has been noted down.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise AuthorizationNeeded(f"{url} asks for an authorization, which is still being waited for") from None

    async def _noted(self, url: str, challenge: Challenge, shown: str | None) -> str:
        """`_another`, and not twice in a row where nothing comes of it."""
        place = (origin(url), challenge.scopes)
        until, why = self._declined.get(place, (0.0, ""))
        if until > self._clock.monotonic():
            raise AuthorizationNeeded(why)
        try:
            return await self._another(url, challenge, shown)
        except (AuthorizationNeeded, AuthorizationUntrusted) as problem:
            keep(self._declined, place, (self._clock.monotonic() + DECLINED_SECONDS, str(problem)), _MAX_DECLINED)
            raise

    # --- getting one ---

    async def _another(self, url: str, challenge: Challenge, shown: str | None, *, looking: bool = False) -> str:
        held = self._kept.find(url)
        if held is not None and held.token.access != shown and not self._issuance.ends(held.token):
            # Somebody else, or another process, has got one meanwhile.
            return held.token.access
        way = await self._ways.way(url, challenge, held, looking=looking)
        if challenge.parameters.get("error") == "insufficient_scope":
            if held is not None and set(way.challenged) <= set(held.asked):
                raise AuthorizationNeeded(
                    f"{url} asks for scopes that were asked for and not given: {' '.join(way.challenged) or 'unnamed'}"
                )
        elif held is not None and held.issuer == way.server.issuer and held.token.refresh is not None:
            with suppress(TokenDenied):
                return await self._issuance.renewed(held, way.server)
        return await self._issuance.fresh(url, way)

    async def _renewed(self, url: str, held: Held) -> str:
        latest = self._kept.find(url)
        if latest is not None and not self._issuance.ends(latest.token):
            return latest.token.access
        return await self._issuance.renewed(latest or held, await self._ways.renewing(held))


def _only_own(scheme: Scheme) -> bool:
    """Whether no person is asked for a token of a scheme."""
    return scheme.authorization_url is None and scheme.metadata_url is None
