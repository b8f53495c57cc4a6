"""`anp.get_capabilities` and `anp.negotiate` as an agent answers them: who asks, held to it, and each operation once."""

import re
from dataclasses import dataclass, field, replace
from typing import Final

from negotiator.anp.choosing import Negotiating
from negotiator.anp.offer import Offer
from negotiator.anp.origin import proved_sender
from negotiator.dialects.anp.binding import Call, moment
from negotiator.dialects.anp.errors import refusal
from negotiator.dialects.anp.negotiating import Negotiate, read_negotiate, write_result
from negotiator.dialects.anp.words import (
    CAPABILITIES,
    CONTENT_TYPES,
    CORE,
    DRAFTING,
    META,
    MODES,
    NEGOTIATE,
    PROFILES,
    RPC,
    SECURITY,
    TRANSPORT_PROTECTED,
)
from negotiator.dialects.json_rpc import METHOD_NOT_FOUND, RpcError
from negotiator.identity.checker import Checker
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Reply, Request
from negotiator.replies import Replies
from negotiator.serving import Answer, ExchangeContext
from negotiator.wire import ANONYMOUS

MAX_OPERATIONS: Final = 512
"""Operations whose results can be had again, about."""
MAX_RESULT: Final = 32_768
"""Bytes of a result that can be had again; a larger one is made anew."""
REQUEST_SECONDS: Final = 330.0
"""How old a request may be that says when it was made: the life of a signature, and a difference of clocks."""
_PROFILE: Final = re.compile(r"[a-z][\w-]*(?:\.[\w-]+)+\.v[0-9]+")


@dataclass(slots=True)
class AnpServer:
    """An agent as its callers negotiate with it."""

    offer: Offer
    answer: Answer
    checker: Checker | None
    operations: Replies = field(init=False)
    """Results by operation: nothing was done in them that must not be done again, and strangers name them."""

    def __post_init__(self) -> None:
        self.operations = self.offer.engine.replies.beside("anp/operation/", MAX_OPERATIONS, MAX_RESULT)

    async def answered(self, call: Call, context: ExchangeContext, base: str) -> JsonObject:
        """The result of one request. Raises `RpcError`, `Overloaded`, and what `Answer` does."""
        did = self.offer.did
        if did is None or call.method not in (CAPABILITIES, NEGOTIATE):
            # Without a DID there is nobody that a target could name.
            raise RpcError(METHOD_NOT_FOUND, "there is no such method here")
        wanted = CORE if call.method == CAPABILITIES else META
        if call.meta.profile != wanted:
            raise refusal(1001, f"{call.method} is of the profile {wanted}", supported_profiles=list(PROFILES))
        if call.meta.security_profile != TRANSPORT_PROTECTED:
            raise refusal(1002, "this security profile is not spoken here", supported=[TRANSPORT_PROTECTED])
        content = (call.meta.content_type or CONTENT_TYPES[0]).partition(";")[0].strip().lower()
        if content not in CONTENT_TYPES:
            raise refusal(1009, "this content type is not read here", supported=list(CONTENT_TYPES))
        target = call.meta.target
        if target is not None and target.did != did:
            raise refusal(1007, "the target is not here")
        if call.method == CAPABILITIES:
            # Endpoint-local: who asks what is spoken here need not know by whom.
            if call.body:
                raise refusal(1003, f"{CAPABILITIES} has an empty body")
            return self.offer.capabilities().to_json()
        if target is None or target.kind != "agent":
            raise refusal(1014, f"{NEGOTIATE} is addressed to an agent, and says to which")
        context = await self._authenticated(call, context)
        return await self._once(call, context, base)

    async def _authenticated(self, call: Call, context: ExchangeContext) -> ExchangeContext:
        """The context with whom the request is proved to be from. A sender that is named is proved, or refused."""
        proved = None if self.checker is None else await proved_sender(call, self.checker, context.peer)
        named = call.meta.sender_did
        if named is None:
            if proved is not None:
                raise refusal(1005, "the proof is of a sender that the request does not name")
            return context
        if named not in (proved, context.principal):
            raise refusal(1607, "the sender that is named is not proved: sign the request, or give an origin proof")
        if proved is not None and proved != named:
            raise refusal(1005, "the proof is of another sender")
        return replace(context, principal=named)

    async def _once(self, call: Call, context: ExchangeContext, base: str) -> JsonObject:
        """The same operation of the same sender for the same target gets the same result (P1 9.1)."""
        operation = call.meta.operation_id
        if operation is None:
            raise refusal(1003, f"{NEGOTIATE} needs an operation_id")
        replies, said = self.operations, [call.method, call.body]
        key = f"{call.method}/{context.peer if context.principal == ANONYMOUS else ''}/{operation}"
        standing, claim = await replies.claim(context.principal, Request(body=said, idempotency_key=key), context.peer)
        if isinstance(standing, Reply):
            return dict(standing.body)
        if standing in ("conflict", "unproved"):
            raise refusal(1008, "the operation_id was used for another request")
        if standing == "elsewhere":
            raise refusal(1012, "another worker is answering this operation")
        kept: Reply | None = None
        try:
            made = await self._negotiated(call, context, base)
            kept = Reply(status="success", body=made)
        finally:
            replies.finish(claim, kept)
        return made

    async def _negotiated(self, call: Call, context: ExchangeContext, base: str) -> JsonObject:
        now = self.offer.engine.clock.time()
        made_at = None if call.meta.created_at is None else moment(call.meta.created_at)
        if made_at is not None and now - made_at > REQUEST_SECONDS:
            raise refusal(1608, "the request is too old")
        asked = read_negotiate(call.body)
        _check(asked)
        work = Negotiating(self.offer, self.answer, asked, context, base, asked.negotiation_id or call.id)
        return write_result(await (work.drafted() if asked.mode == DRAFTING else work.selected()))


def _check(asked: Negotiate) -> None:
    """What no choice among our interfaces can meet. Raises `RpcError`."""
    wants = asked.constraints
    if asked.mode not in MODES:
        raise refusal(1602, "there is no such mode here", supported=list(MODES))
    if asked.mode == DRAFTING and not wants.allow_natural_language_fallback:
        raise refusal(1602, "drafting is a fallback that the constraints do not allow")
    strange = sorted(wants.model_extra or {})
    if strange:
        # It may be something that must hold.
        raise refusal(1601, "there are constraints that are not known here", unsupportedConstraints=strange[:8])
    _check_common_ground(asked)
    intent = asked.intent
    if not (intent.name.strip() or intent.description.strip() or intent.intent_tags or asked.required_capabilities):
        raise refusal(1606, "the intent says nothing: name or describe what is to be done")


def _check_common_ground(asked: Negotiate) -> None:
    can, required = asked.caller_capabilities, asked.constraints.required_security_profile
    spoken = list(SECURITY[:1])
    if required is not None and required != TRANSPORT_PROTECTED:
        words = "the security profile that is required is not spoken here"
        raise refusal(1604, words, unsupportedConstraints=["requiredSecurityProfile"], supported=spoken)
    if can.supported_security_profiles is not None and TRANSPORT_PROTECTED not in can.supported_security_profiles:
        raise refusal(1604, "no security profile is spoken on both sides", supported=spoken)
    for types in (asked.constraints.preferred_content_types or None, can.supported_content_types):
        if types is not None and not set(types) & set(CONTENT_TYPES):
            raise refusal(1605, "no content type is spoken on both sides", supported=list(CONTENT_TYPES))
    candidates = [each for each in asked.candidate_protocols if isinstance(each, str) and _PROFILE.fullmatch(each)]
    if candidates and len(candidates) == len(asked.candidate_protocols) and not set(candidates) & set(PROFILES):
        raise refusal(1603, "no candidate profile is spoken here", supported=list(PROFILES))
    if can.supported_profiles is not None and RPC not in can.supported_profiles:
        raise refusal(1601, "the caller speaks no profile that calls go by here", supported=[RPC])
