"""The two methods of ANP's endpoint as our side calls them: `anp.get_capabilities` and `anp.negotiate`."""

from collections.abc import Callable

from negotiator.anp.finding import FoundAgent, path_of
from negotiator.anp.origin import prove
from negotiator.clock import Clock, Deadline
from negotiator.dialects.anp.binding import Meta, Target, read_response, write_call
from negotiator.dialects.anp.negotiating import (
    Capabilities,
    Negotiate,
    Result,
    at,
    read_capabilities,
    read_result,
    write_negotiate,
)
from negotiator.dialects.anp.words import CAPABILITIES, CORE, JSON, META, NEGOTIATE, TRANSPORT_PROTECTED
from negotiator.dialects.json_rpc import to_bytes
from negotiator.errors import NotPossible, PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.identity.identity import Identity
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.wire import Transport, WireRequest, origin_of


class Asking:
    """Asks the endpoints of agents, as somebody where there is an identity."""

    def __init__(
        self, transport: Transport, clock: Clock, *, identity: Identity | None, new_id: Callable[[], str]
    ) -> None:
        """Ask through `transport` as `identity`."""
        self._transport = transport
        self._clock = clock
        self._identity = identity
        self._new_id = new_id

    async def capabilities(self, found: FoundAgent, deadline: Deadline) -> Capabilities:
        """What an agent says that it can do now (`anp.get_capabilities`). Raises as `negotiate` does."""
        meta = Meta(
            profile=CORE,
            security_profile=TRANSPORT_PROTECTED,
            operation_id=self._new_id(),
            created_at=at(self._clock.time()),
        )
        return read_capabilities(await self._call(_endpoint(found), CAPABILITIES, meta, {}, deadline, proved=False))

    async def negotiate(self, found: FoundAgent, asked: Negotiate, deadline: Deadline) -> Result:
        """One `anp.negotiate`; a lost reply is asked for again under the same operation.

        Raises `PeerRefused`, `PeerMisspoke`, `PeerUnreachable`, `PeerHungUp`, and `NotPossible` where an authorization is
        asked for.
        """
        did = found.described.did or ""
        operation = self._new_id()
        meta = Meta(
            profile=META,
            security_profile=TRANSPORT_PROTECTED,
            sender_did=None if self._identity is None else self._identity.did,
            target=Target("agent", did),
            operation_id=operation,
            created_at=at(self._clock.time()),
            content_type=JSON,
        )
        body = write_negotiate(asked.model_copy(update={"negotiation_id": operation}))
        try:
            value = await self._call(_endpoint(found), NEGOTIATE, meta, body, deadline, proved=True)
        except PeerHungUp:
            value = await self._call(_endpoint(found), NEGOTIATE, meta, body, deadline, proved=True)
        result = read_result(value)
        if result.negotiation_id != operation:
            raise PeerMisspoke("the result is of another negotiation")
        return result

    async def _call(
        self, url: str, method: str, meta: Meta, body: JsonObject, deadline: Deadline, *, proved: bool
    ) -> JsonValue:
        """One request of the Core Binding."""
        auth: JsonObject | None = None
        if proved and self._identity is not None and meta.target is not None:
            signed: JsonObject = {"method": method, "meta": meta.to_json(), "body": body}
            auth = await prove(self._identity, signed, meta.target, nonce=self._new_id(), clock=self._clock)
        identifier = self._new_id()
        wire = WireRequest(
            path=path_of(url),
            headers={"content-type": JSON, "accept": JSON},
            body=to_bytes(write_call(identifier, method, meta, body, auth)),
        )
        reply = await self._transport.send(origin_of(url), wire, deadline=deadline)
        if reply.status in (401, 403):
            raise NotPossible(f"the agent at {url} asks for an authorization that cannot be given here")
        if reply.status in (502, 504):
            raise PeerHungUp(f"a gateway before {url} answered {reply.status}")
        return read_response(reply.body, identifier)


def _endpoint(found: FoundAgent) -> str:
    url = found.endpoint
    if url is None:
        raise PeerUnreachable("the agent has no endpoint to negotiate with, by its DID document")
    return url
