"""A peer's reply over Agora: which dialect it is in, what it amounts to, and whether to ask in another dialect."""

from negotiator.dialects.agora import PACKAGE_020, STANDARD_2025, AgoraDialect, sniff_reply
from negotiator.errors import (
    EffectsAlreadyMade,
    InputRequired,
    NegotiatorError,
    OutcomeUnknown,
    Overloaded,
    PeerFailed,
    PeerMisspoke,
    PeerRejected,
    TooLarge,
)
from negotiator.messages import Reply, Request
from negotiator.serving import ENGINE, ENGINE_HEADER
from negotiator.wire import WireReply


def error_of(reply: Reply) -> NegotiatorError | None:
    """The error that a reply amounts to; None for a success."""
    if reply.status == "success":
        return None
    message = reply.error or reply.code or "the peer gave no reason"
    if reply.status == "rejected":
        return PeerRejected(message)
    match reply.code:
        case "overloaded":
            return Overloaded(message, retry_after=reply.retry_after or 1.0)
        case "input_required":
            return InputRequired(message)
        case "too_large":
            return TooLarge(message)
        case "outcome_unknown":
            return OutcomeUnknown(message)
        case "effects_already_made":
            return EffectsAlreadyMade(message)
        case _:
            return PeerFailed(message)


def read_reply(wire: WireReply, dialect: AgoraDialect, request: Request) -> tuple[Reply, AgoraDialect]:
    """A reply, and the dialect that it is in: the one asked in, where it may be; else the one it looks like."""
    try:
        reply = dialect.decode_reply(wire, request)
    except PeerMisspoke:
        spoken = sniff_reply(wire)
        if spoken is None or spoken is dialect:
            raise
        return spoken.decode_reply(wire, request), spoken
    if wire.status < 400:  # noqa: PLR2004 - HTTP
        return reply, dialect
    # An HTTP error is read without regard to its words, which may still be another dialect's.
    spoken = sniff_reply(wire)
    if spoken is None or dialect.says(wire):
        return reply, dialect
    return spoken.decode_reply(wire, request), spoken


def other_dialect(dialect: AgoraDialect, spoken: AgoraDialect, reply: Reply, request: Request) -> AgoraDialect | None:
    """The dialect to repeat a request in, where the reply proves that nothing was done with it.

    A round of a conversation is not repeated: its opening was understood as it was. Nor is a request whose
    document was rejected under the same spelling of its hash: that is the peer's word about the document.
    """
    if request.conversation is not None:
        return None
    if reply.status == "rejected":
        return spoken if spoken.base64 != dialect.base64 else None
    if reply.code != "malformed":
        return None
    if spoken is not dialect:
        return spoken
    return PACKAGE_020 if dialect is STANDARD_2025 else STANDARD_2025


def is_ours(wire: WireReply) -> bool:
    """Whether a reply says that the peer's engine is this one."""
    return wire.headers.get(ENGINE_HEADER) == ENGINE
