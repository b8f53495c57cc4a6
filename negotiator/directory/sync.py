"""From one directory to the store at hand: what is not here yet, checked by its hash, within caps."""

from dataclasses import dataclass

from negotiator.clock import Deadline
from negotiator.directory.client import DirectoryClient
from negotiator.errors import NegotiatorError
from protocol_docs import DocumentError, DocumentStore, StoreUnusable


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCaps:
    """What is taken from one directory at a time."""

    documents: int = 10_000
    bytes: int = 256 * 1024 * 1024
    pages: int = 1000


@dataclass(slots=True, kw_only=True)
class Synced:
    """What a synchronisation came to."""

    added: int = 0
    known: int = 0
    """Listed there, and here already."""
    refused: int = 0
    """Not what it was listed as, revoked here, or not to be had."""
    revoked_there: tuple[str, ...] = ()
    """Documents here that the directory no longer gives. They stay: what is used here is for the owner to say."""
    capped: bool = False
    """Whether a cap ended it before the directory did."""


async def sync(
    directory: DirectoryClient, store: DocumentStore, deadline: Deadline, caps: SyncCaps | None = None
) -> Synced:
    """Bring what `directory` has and `store` has not.

    Raises the `PeerError`s and `Overloaded` where the directory's listing cannot be read, and `StoreUnusable`
    (`StoreFull`) where the store takes no more; what was brought until then stays.
    """
    caps = caps or SyncCaps()
    came, size = Synced(), 0
    after: str | None = None
    for number in range(caps.pages):
        page = await directory.page(after, deadline)
        if number == 0:
            came.revoked_there = tuple(name for name in page.revoked if store.get(name) is not None)
        for entry in page.documents:
            if store.get(entry.hash) is not None:
                came.known += 1
            elif came.added >= caps.documents or size >= caps.bytes:
                came.capped = True
                return came
            else:
                size += await _bring(entry.hash, directory, store, deadline, came)
        # A listing that does not go on upwards would never end.
        if page.next is None or (after is not None and page.next <= after):
            return came
        after = page.next
    came.capped = True
    return came


async def _bring(name: str, directory: DirectoryClient, store: DocumentStore, deadline: Deadline, came: Synced) -> int:
    """The bytes of the document, if it came."""
    if store.revoked(name) is None:
        try:
            document = await directory.get(name, deadline)
            store.put(document)
        except StoreUnusable:
            raise
        except (NegotiatorError, DocumentError):
            deadline.require()
        else:
            came.added += 1
            return len(document.data)
    came.refused += 1
    return 0
