"""Documents of ours, with hashes that do not change.

They are texts beside this file, and are read as any other document is. A changed text is a new document with a
new hash: the old one stays for as long as peers may name it.
"""

from functools import cache
from importlib.resources import files

from protocol_docs.document import ProtocolDocument
from protocol_docs.errors import HashMismatch

NEGOTIATION_DIALOGUE = "sha256:fe628387484769ca365cb3091076640256811067fca9c4fabc2d4e272b8d2538"
"""The hash of `negotiation_dialogue()`."""
DIRECT_JSON = "sha256:8b747b85e9e915b617d5d46cf963967f90f6e374f9f38faf5de8a60648909d3d"
"""The hash of `direct_json()`."""


@cache
def negotiation_dialogue() -> ProtocolDocument:
    """How two agents agree on a document: opening, counter, agreement; answer, agreed."""
    return _read("negotiation_dialogue.md", NEGOTIATION_DIALOGUE)


@cache
def direct_json() -> ProtocolDocument:
    """One structured call between two agents that have schemas and no document: `{task, input}`, `{output}`."""
    return _read("direct_json.md", DIRECT_JSON)


@cache
def all_documents() -> tuple[ProtocolDocument, ...]:
    """All documents of the catalog."""
    return (negotiation_dialogue(), direct_json())


def hashes() -> frozenset[str]:
    """The hashes of all documents of the catalog."""
    return frozenset({NEGOTIATION_DIALOGUE, DIRECT_JSON})


def _read(name: str, expected: str) -> ProtocolDocument:
    document = ProtocolDocument.from_bytes(files(__name__).joinpath(name).read_bytes())
    if document.hash != expected:
        raise HashMismatch(f"{name} was changed where it is installed (line endings, perhaps): it is {document.hash}")
    return document
