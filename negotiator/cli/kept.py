"""What is kept in the state folder, for the commands that look at it."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from negotiator.embeddings import SentenceEncoder
from negotiator.errors import MissingExtra, NotPossible
from negotiator.journal import digest_of
from negotiator.routines import Routine
from negotiator.shelf import RoutineShelf
from negotiator.state import open_state, state_directory
from protocol_docs import DocumentStore, ProtocolDocument, catalog


def folder_of(state: str | None) -> Path:
    """The state folder that is meant; it need not exist."""
    return state_directory() if state is None else Path(state)


def documents_in(state: str | None, *, by_meaning: bool = False) -> DocumentStore | None:
    """The documents kept in the state folder; None where nothing was ever kept.

    With `by_meaning` they are searched with embeddings. Raises `StoreUnusable`, `MissingExtra`.
    """
    embedder = SentenceEncoder() if by_meaning else None
    folder = folder_of(state)
    if not (folder / "store").is_dir():
        return None
    _require_disk()
    return open_state(folder).documents(embedder)


def documents_to_add_to(state: str | None) -> DocumentStore:
    """The same, made where it does not exist. Raises `MissingExtra`, `StoreUnusable`."""
    _require_disk()
    return open_state(folder_of(state)).documents()


def routines_in(state: str | None) -> RoutineShelf | None:
    """The routines kept in the state folder; None where nothing was ever kept. Raises `StoreUnusable`."""
    folder = folder_of(state)
    if not (folder / "store").is_dir():
        return None
    _require_disk()
    return RoutineShelf(open_state(folder).routine_cache(), _run_nothing)


def all_documents(store: DocumentStore | None, *, though_revoked: bool = False) -> Iterator[ProtocolDocument]:
    """What is kept, and what comes with the package."""
    yield from catalog.all_documents()
    if store is not None:
        ours = catalog.hashes()
        found = (store.get(name, though_revoked=though_revoked) for name in store.hashes() if name not in ours)
        yield from (document for document in found if document is not None)


def name_of(routine: Routine) -> str:
    """What `routines show` and `drop` call a routine: twelve hex digits that stay the same when it is made anew."""
    return digest_of([routine.protocol_hash, routine.role, routine.key_digest])[:12]


def _require_disk() -> None:
    if importlib.util.find_spec("diskcache") is None:
        raise MissingExtra('what is kept on disk needs diskcache; install it with: pip install "metaparley[disk]"')


async def _run_nothing(*_arguments: object, **_options: object) -> None:
    raise NotPossible("routines are looked at here, not run")
