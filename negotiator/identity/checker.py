"""Who sent a request, as far as it proves that: a signature, a token that a signature was given for, or nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from negotiator.clock import Clock
from negotiator.identity import messages
from negotiator.identity.authority import BEARER
from negotiator.identity.ed25519 import PublicKey
from negotiator.identity.errors import DidUnresolvable, KeyChanged, MalformedDid, NotProven
from negotiator.identity.legacy import SCHEME, check_legacy, read_legacy
from negotiator.identity.replay import Nonces
from negotiator.identity.resolver import DidResolver
from negotiator.identity.tokens import TOKEN_SECONDS, AccessTokens, Holder
from negotiator.identity.trust import Revocations, TrustPolicy
from negotiator.wire import WireRequest


@dataclass(frozen=True, slots=True)
class Proven:
    """A request whose sender is known."""

    holder: Holder
    token: str | None = None
    """One to show from now on, after a signature."""

    @property
    def fields(self) -> dict[str, str]:
        """What the reply says of it (ANP-02's `Authentication-Info`)."""
        if self.token is None:
            return {}
        said = f'access_token="{self.token}", token_type="Bearer", expires_in={TOKEN_SECONDS}'
        return {"authentication-info": said}


class Checker:
    """Checks the proofs on requests to one agent."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        resolver: DidResolver,
        nonces: Nonces,
        revocations: Revocations,
        clock: Clock,
        trust: TrustPolicy,
        tokens: AccessTokens | None = None,
    ) -> None:
        """Check requests to an agent at `addresses`: what a caller may have signed as its target.

        A target is never taken from the request: whoever else was sent a signed request could make it here otherwise.
        Without `tokens` none are given or read.
        """
        self._addresses = tuple(address.rstrip("/") for address in addresses)
        self._hosts = {urlsplit(address).hostname or "" for address in self._addresses}
        self._resolver = resolver
        self._nonces = nonces
        self._revocations = revocations
        self._clock = clock
        self._trust = trust
        self._tokens = tokens

    async def check(self, wire: WireRequest) -> Proven | None:
        """Who proves what on a request; None where it tries no proof.

        Raises `NotProven` where it tries one that does not hold, and `Overloaded`.
        """
        authorization = wire.headers.get("authorization", "")
        if authorization[: len(BEARER)].lower() == BEARER and self._tokens is not None:
            holder = self._tokens.read(authorization[len(BEARER) :].strip())
            self._require_standing(holder)
            return Proven(holder)
        signature = messages.read_signature(wire.headers)
        if signature is not None:
            message = messages.Message(method=wire.method, target="", headers=wire.headers, body=wire.body)
            messages.check_covered(signature, message)
            holder, key = await self._key(signature.terms, wire.peer)
            messages.check_signature(signature, message, self._targets(wire), key)
            return self._proven(holder, signature.terms)
        if authorization[: len(SCHEME)].lower() == SCHEME:
            return await self._legacy(authorization, wire.peer)
        return None

    async def signer_of(self, message: messages.Message, peer: str | None) -> Holder:
        """Who signed a message that is no request of HTTP, for the target that it says, and for this once.

        Its headers hold the fields of the signature; `peer` is the address that it came from. Raises `NotProven`, for a
        message without one too, and `Overloaded`.
        """
        signature = messages.read_signature(message.headers)
        if signature is None:
            raise NotProven("invalid_request", "there is no signature")
        messages.check_covered(signature, message)
        holder, key = await self._key(signature.terms, peer)
        messages.check_signature(signature, message, [message.target], key)
        if not self._trust.hears(holder.did):
            # Whoever carried it is heard; that does not go over to whom it is from.
            raise NotProven("forbidden_did", "this agent hears only callers that it knows")
        self._use_up(signature.terms)
        return holder

    def gave(self, token: str) -> bool:
        """Whether a token is one that this agent gave itself, whatever became of it since."""
        return self._tokens is not None and self._tokens.wrote(token)

    async def _legacy(self, authorization: str, peer: str | None) -> Proven:
        if not self._trust.legacy_header:
            raise NotProven("invalid_request", "the DIDWba header is not read here: sign the request (RFC 9421)")
        proof = read_legacy(authorization)
        holder, key = await self._key(proof.terms, peer)
        problem: NotProven | None = None
        for host in self._hosts:
            try:
                check_legacy(proof, host, key)
            except NotProven as error:
                problem = error
            else:
                return self._proven(holder, proof.terms)
        raise problem or NotProven("invalid_signature", "this agent has no address")

    async def _key(self, terms: messages.Terms, peer: str | None) -> tuple[Holder, PublicKey]:
        messages.check_time(terms, self._clock.time())
        did = terms.key_id.partition("#")[0]
        holder = Holder(did, terms.key_id)
        self._require_standing(holder)
        try:
            document = await self._resolver.document(did, with_key=terms.key_id, asker=peer)
        except KeyChanged:
            raise NotProven(
                "invalid_did", "the keys of this DID are others than before; they wait for approval"
            ) from None
        except (DidUnresolvable, MalformedDid):
            raise NotProven("invalid_did", "the document of this DID is not to be had, or is not its own") from None
        if terms.key_id not in document.authentication:
            raise NotProven("invalid_verification_method", "the DID has no such key for authentication")
        return holder, document.keys[terms.key_id]

    def _proven(self, holder: Holder, terms: messages.Terms) -> Proven:
        self._use_up(terms)
        return Proven(holder, None if self._tokens is None else self._tokens.issue(holder))

    def _use_up(self, terms: messages.Terms) -> None:
        # Only now: a nonce that was not proved to be the caller's must not use it up, nor any room.
        until = max(terms.expires, terms.created + messages.WINDOW_SECONDS) + messages.SKEW_SECONDS
        if not self._nonces.first_use(terms.key_id, terms.nonce, until=until):
            raise NotProven("invalid_nonce", "the nonce was used before")

    def _require_standing(self, holder: Holder) -> None:
        if not self._revocations.stands(holder.did, holder.key_id):
            raise NotProven("forbidden_did", "this DID, or its key, is not heard here any more")

    def _targets(self, wire: WireRequest) -> list[str]:
        place, mark, query = (wire.target or wire.path).partition("?")
        # Whether an address ends in a slash is not said the same way by all clients.
        paths = ("", "/") if place == "/" else (place,)
        return [address + path + mark + query for address in self._addresses for path in paths]
