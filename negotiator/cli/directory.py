"""`negotiator docs serve` and `negotiator docs sync`: documents for others, and from others."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from negotiator.cli import exits
from negotiator.cli.console import Console
from negotiator.cli.kept import documents_to_add_to
from negotiator.cli.options import Commands, add_state, command, positive, read_bytes
from negotiator.clock import Deadline, SystemClock
from negotiator.errors import NegotiatorError, UsageError
from protocol_docs import DocumentStore, catalog
from protocol_docs.errors import StoreUnusable

if TYPE_CHECKING:
    from negotiator.directory import DirectoryClient, Synced

_LEAST: Final = 16
"""Characters of a token: fewer can be guessed."""
_SHED: Final = (b"GET", b"PUT")
"""What is refused when it comes faster than it can be begun."""


def add(actions: Commands) -> None:
    """Add both actions."""
    serving = command(
        actions,
        "serve",
        "serve those kept here to others",
        description="Serve the documents of the state folder as a directory: list, get by hash, search; and take new\n"
        "ones from those who show a token of the token file. Without the file, nobody may add any.",
        example="  negotiator docs serve --port 8100 --tokens tokens.txt --sync https://directory.example --every 3600",
    )
    serving.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    serving.add_argument("--port", type=int, default=8100, help="0 takes a free one (default: %(default)s)")
    serving.add_argument("--tokens", metavar="FILE", help="a token a line; read again at each request to add")
    serving.add_argument("--sync", metavar="URL", action="append", default=[], help="bring what that directory has")
    serving.add_argument(
        "--every", metavar="S", type=positive, default=3600.0, help="how often, in seconds (default: %(default)g)"
    )
    serving.add_argument(
        "--allowed-origin", metavar="URL", action="append", default=[], help="a web page's origin that may ask"
    )
    serving.add_argument(
        "--allowed-host", metavar="NAME", action="append", default=[], help="a name that the directory goes by"
    )
    add_state(serving)
    serving.set_defaults(run=_serve)

    syncing = command(
        actions,
        "sync",
        "bring what a directory has",
        description="Bring to the state folder what the directory at URL has and it has not. Each text is checked by\n"
        "its hash. What was revoked here is not brought, and nothing here is revoked because it was there.",
        example="  negotiator docs sync https://directory.example",
    )
    syncing.add_argument("url", metavar="URL", help="where the directory is")
    syncing.add_argument("--push", action="store_true", help="add there, besides, what it has not; needs --tokens")
    syncing.add_argument("--tokens", metavar="FILE", help="its first line is shown to the directory; - standard input")
    syncing.add_argument("--timeout", metavar="S", type=positive, default=300.0, help="seconds (default: %(default)g)")
    add_state(syncing)
    syncing.set_defaults(run=_sync)


def _serve(chosen: argparse.Namespace, console: Console) -> int:
    from negotiator.cli.serving import address_of, listen, require_uvicorn, run, serve_app  # noqa: PLC0415 - on use
    from negotiator.directory import DirectoryDoor  # noqa: PLC0415
    from negotiator.transports.asgi import asgi_app  # noqa: PLC0415

    require_uvicorn()
    able = sum(1 for _ in _tokens(chosen.tokens))
    store = documents_to_add_to(chosen.state)
    for document in catalog.all_documents():
        store.put(document)
    store.index_all()
    door = DirectoryDoor(
        store,
        tokens=lambda: _tokens_now(chosen.tokens),
        allowed_origins=chosen.allowed_origin,
        allowed_hosts=chosen.allowed_host,
    )
    listening = listen(chosen.host, chosen.port)

    def ready() -> None:
        address = address_of(listening)
        if console.as_json:
            console.json({"address": address, "documents": len(store), "tokens": able})
        else:
            console.out(f"{address}  ({len(store)} documents; {able} tokens)")

    async def serve() -> None:
        following = asyncio.ensure_future(_follow(chosen.sync, store, chosen.every, console))
        try:
            await serve_app(asgi_app(door), listening, ready=ready, shed=_SHED)
        finally:
            following.cancel()

    run(serve())
    return exits.OK


async def _follow(urls: Sequence[str], store: DocumentStore, every: float, console: Console) -> None:
    """Bring what other directories have, again and again."""
    while urls:
        for url in urls:
            try:
                came = await _bring(url, store, every)
                console.note(f"{url}: {came.added} documents came, {came.refused} were refused")
            except (NegotiatorError, StoreUnusable) as error:
                console.note(f"{url}: {error}")
        await asyncio.sleep(every)


def _sync(chosen: argparse.Namespace, console: Console) -> int:
    token = next(_tokens(chosen.tokens), None)
    if chosen.push and token is None:
        raise UsageError("--push needs a token that the directory's owner gave: name its file with --tokens")
    store = documents_to_add_to(chosen.state)
    with console.waiting(f"bringing documents from {chosen.url}"):
        came, pushed = asyncio.run(_both_ways(chosen.url, store, chosen.timeout, token if chosen.push else None))
        store.index_all()
    if console.as_json:
        console.json(asdict(came) | {"pushed": pushed})
    else:
        console.out(f"{came.added} documents came, {came.known} were here, {came.refused} were refused")
        if chosen.push:
            console.out(f"{pushed} documents were added there")
    for name in came.revoked_there:
        console.note(f"revoked there and used here: {name}")
    if came.capped:
        console.note("the directory has more than is brought at a time: call this again")
    return exits.OK


async def _both_ways(url: str, store: DocumentStore, seconds: float, token: str | None) -> "tuple[Synced, int]":
    deadline = Deadline.after(seconds, SystemClock())
    came = await _bring(url, store, seconds)
    if token is None:
        return came, 0
    async with _client(url, token) as there:
        pushed = 0
        known = await _listed(there, deadline)
        for document in store.documents():
            if document.hash not in known and document.hash not in catalog.hashes():
                await there.push(document, deadline)
                pushed += 1
    return came, pushed


async def _bring(url: str, store: DocumentStore, seconds: float) -> "Synced":
    from negotiator.directory import sync  # noqa: PLC0415 - on use

    async with _client(url, None) as there:
        return await sync(there, store, Deadline.after(seconds, SystemClock()))


async def _listed(there: "DirectoryClient", deadline: Deadline) -> set[str]:
    found: set[str] = set()
    after: str | None = None
    while True:
        page = await there.page(after, deadline)
        found |= {entry.hash for entry in page.documents}
        if page.next is None or (after is not None and page.next <= after):
            return found
        after = page.next


@asynccontextmanager
async def _client(url: str, token: str | None) -> "AsyncIterator[DirectoryClient]":
    from negotiator.directory import DirectoryClient  # noqa: PLC0415 - on use
    from negotiator.transports.http_client import HTTPTransport  # noqa: PLC0415 - loads httpx

    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{url} is not an http or https address")
    transport = HTTPTransport()
    try:
        yield DirectoryClient(transport, url, token=token)
    finally:
        await transport.aclose()


def _tokens_now(path: str | None) -> Iterator[str]:
    # A file that was spoilt meanwhile lets nobody in.
    with suppress(UsageError):
        yield from _tokens(path)


def _tokens(path: str | None) -> Iterator[str]:
    """The tokens of a file, a line each. Raises `UsageError`."""
    if path is None:
        return
    for line in read_bytes(path, "the token file").decode("utf-8", "replace").splitlines():
        token = line.strip()
        if token and len(token) < _LEAST:
            raise UsageError(f"a token of {path} has fewer than {_LEAST} characters and could be guessed")
        if token:
            yield token
