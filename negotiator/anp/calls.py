"""Business calls from peers of ANP: an agent's tools by name, its documents by hash, and words."""

from dataclasses import dataclass
from typing import Final

from negotiator.anp.offer import ASK, Offer
from negotiator.dialects.anp.binding import Plain
from negotiator.dialects.anp.errors import refusal
from negotiator.dialects.anp.words import DOCUMENT, META, NEGOTIATE
from negotiator.dialects.json_rpc import INVALID_PARAMS, METHOD_NOT_FOUND, SERVER_ERROR, RpcError
from negotiator.direct import call_tool
from negotiator.messages import Reply, Request
from negotiator.serving import Answer, ExchangeContext, in_time
from negotiator.wire import ANONYMOUS
from protocol_docs import MalformedHash, parse_hash

_NOT_SERVED: Final = ("document_not_found", "unsupported_protocol")


@dataclass(frozen=True, slots=True)
class Calls:
    """What peers may call."""

    offer: Offer
    answer: Answer

    async def structured(self, plain: Plain, context: ExchangeContext, key: str | None) -> Reply:
        """One call of a tool, or under a document. Raises `RpcError`, and what `Answer` does."""
        if plain.method in {tool.name for tool in self.offer.tools()}:
            return _checked(await call_tool(self.answer, plain.method, plain.params, context, key), context)
        if plain.method.startswith(DOCUMENT):
            try:
                named = parse_hash("sha256:" + plain.method.removeprefix(DOCUMENT))
            except MalformedHash:
                raise _no_method() from None
            request = Request(body=plain.params, hashes=(named,), idempotency_key=key)
            return _checked(await in_time(self.answer, request, context), context)
        raise _no_method()

    async def in_words(self, plain: Plain, context: ExchangeContext, key: str | None) -> Reply:
        """One request in natural language. Raises as `structured`."""
        asked = plain.params.get("request")
        if plain.method != ASK or not self.offer.in_words:
            raise _no_method()
        if not isinstance(asked, str) or set(plain.params) != {"request"}:
            raise RpcError(INVALID_PARAMS, "the params are one text, request")
        return _checked(await in_time(self.answer, Request(body=asked, idempotency_key=key), context), context)


def _no_method() -> RpcError:
    return RpcError(METHOD_NOT_FOUND, "there is no such method here")


def _checked(reply: Reply, context: ExchangeContext) -> Reply:
    """The reply where it succeeded. Raises the error that any other amounts to."""
    if reply.status == "success":
        return reply
    words, code = reply.error or "the call failed", reply.code or "failed"
    if reply.status == "rejected" or code in _NOT_SERVED:
        raise refusal(1601, f"this is not served here, or not any more: ask again with {NEGOTIATE} of {META}")
    if code == "bad_input":
        raise RpcError(INVALID_PARAMS, words, data={"code": code})
    if code == "not_allowed":
        raise refusal(1005 if context.principal == ANONYMOUS else 1006, words)
    if code == "overloaded":
        raise refusal(1012, words, retry_after=reply.retry_after or 1.0)
    raise RpcError(SERVER_ERROR, words, data={"code": code})
