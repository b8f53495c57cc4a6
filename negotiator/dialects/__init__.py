"""Wire languages: one pure codec each, `agora` the first family of them."""

from negotiator.dialects.base import (
    ConversationExpired,
    ConversationFull,
    Dialect,
    Malformed,
    Refused,
    UnknownConversation,
)

__all__ = [
    "ConversationExpired",
    "ConversationFull",
    "Dialect",
    "Malformed",
    "Refused",
    "UnknownConversation",
]
