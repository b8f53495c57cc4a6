"""Who somebody is: keys, DIDs and their documents, signed messages, and who is heard."""

from negotiator.identity.did import read_document
from negotiator.identity.errors import DidUnresolvable, IdentityUnusable, KeyChanged, MalformedDid, NotProven
from negotiator.identity.identity import Identity
from negotiator.identity.resolver import DidResolver, Pins
from negotiator.identity.signer import Key, MemorySigner, Signer, check_signer
from negotiator.identity.trust import Revocations, TrustPolicy

__all__ = [
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
    "Signer",
    "TrustPolicy",
    "check_signer",
    "read_document",
]
