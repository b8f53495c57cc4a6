"""The port of a dialect, and the errors a request can be refused with before anyone has looked at its meaning.

A dialect is a pure codec: it holds no connection, reads no clock and remembers nothing. Both directions of both
halves are here, because each agent is a sender and a receiver.
"""

from typing import ClassVar, Protocol, runtime_checkable

from negotiator.errors import PeerError
from negotiator.messages import Reply, Request
from negotiator.wire import WireReply, WireRequest


class Refused(PeerError):
    """A request that is answered with an error before it is understood.

    Unlike other errors, the message is written for the peer: it names fields and limits, and nothing of ours.
    """

    code: ClassVar[str] = "malformed"
    message = "the request is malformed"


class Malformed(Refused):
    """The bytes are not a request of this dialect, or a field has the wrong type, form or length."""


class UnknownConversation(Refused):
    """There is no conversation of this id, or it is somebody else's."""

    code = "unknown_conversation"
    message = "there is no such conversation"


class ConversationExpired(Refused):
    """The conversation was here and its time is over."""

    code = "conversation_expired"
    message = "Conversation expired"


class ConversationFull(Refused):
    """The conversation has had all the turns or bytes that one may have."""

    code = "conversation_full"
    message = "this conversation is at its limit; open another"


@runtime_checkable
class Dialect(Protocol):
    """One wire language: bytes to `Request` and `Reply`, and back."""

    @property
    def name(self) -> str:
        """A stable word, such as `agora-2025`; what is remembered of a peer."""
        ...

    def encode_request(self, request: Request) -> WireRequest:
        """Spell a request of ours.

        Raises `UsageError` where a field cannot be spelt at all (a hash that is known only by its SHA-256 in a
        dialect of SHA-1), and `NotPossible` where the dialect has no such thing (conversations, closing).
        """
        ...

    def decode_reply(self, wire: WireReply, request: Request) -> Reply:
        """Understand the reply to `request`. Raises `PeerMisspoke` where it is not of this dialect."""
        ...

    def decode_request(self, wire: WireRequest) -> Request:
        """Understand a peer's request. Raises `Refused`, and nothing else, whatever the bytes."""
        ...

    def encode_reply(self, reply: Reply, request: Request | None) -> WireReply:
        """Spell our reply; `request` is None where the request could not be understood. Never raises for a
        reply whose body is plain finite JSON.
        """
        ...
