"""A function that a peer of another wire language offers, as a document.

A document is drafted by rule from what the peer says of the function, so that the same definition has the same hash on
every machine, and another definition another one.
"""

from dataclasses import dataclass
from typing import Final

from negotiator.jsonvalue import JsonObject
from negotiator.messages import Effect
from protocol_docs.annex import AnnexProblem
from protocol_docs.document import ProtocolDocument
from protocol_docs.draft import draft_document
from protocol_docs.errors import MalformedDocument

MAX_NAME: Final = 256
"""Characters of a function's name."""


@dataclass(frozen=True, slots=True)
class PeerTool:
    """A function that a peer offers, with the document that stands for it here."""

    name: str
    input: JsonObject
    document: ProtocolDocument


def drafted_tool(name: object, description: object, *, takes: object, gives: object, effect: Effect) -> PeerTool | None:
    """The function as a document; None for one that cannot be used.

    `takes` and `gives` are JSON Schemas; where `gives` is none, the reply is free text.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not isinstance(takes, dict):
        return None
    try:
        document = draft_document(
            name=name,
            description=description if isinstance(description, str) and description.strip() else name,
            request_schema=takes,
            reply_schema=gives if isinstance(gives, dict) else None,
            effect=effect,
        )
    except (AnnexProblem, MalformedDocument):
        return None
    return PeerTool(name=name, input=takes, document=document)
