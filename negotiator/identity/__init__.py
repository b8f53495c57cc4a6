"""Who somebody is: keys, DIDs and their documents, signed messages, who is heard, and who may do what."""

from typing import TYPE_CHECKING

from negotiator.exports import on_demand

if TYPE_CHECKING:
    from negotiator.identity.authority import EVERYBODY, Authority, Rule
    from negotiator.identity.callers import current_principal
    from negotiator.identity.did import read_document
    from negotiator.identity.errors import DidUnresolvable, IdentityUnusable, KeyChanged, MalformedDid, NotProven
    from negotiator.identity.identity import Identity
    from negotiator.identity.resolver import DidResolver, Pins
    from negotiator.identity.signer import Key, MemorySigner, Signer, check_signer
    from negotiator.identity.trust import Revocations, TrustPolicy

__all__ = [
    "EVERYBODY",
    "Authority",
    "DidResolver",
    "DidUnresolvable",
    "Identity",
    "IdentityUnusable",
    "Key",
    "KeyChanged",
    "MalformedDid",
    "MemorySigner",
    "NotProven",
    "Pins",
    "Revocations",
    "Rule",
    "Signer",
    "TrustPolicy",
    "check_signer",
    "current_principal",
    "read_document",
]

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "authority": ("EVERYBODY", "Authority", "Rule"),
        "callers": ("current_principal",),
        "did": ("read_document",),
        "errors": ("DidUnresolvable", "IdentityUnusable", "KeyChanged", "MalformedDid", "NotProven"),
        "identity": ("Identity",),
        "resolver": ("DidResolver", "Pins"),
        "signer": ("Key", "MemorySigner", "Signer", "check_signer"),
        "trust": ("Revocations", "TrustPolicy"),
    },
)
