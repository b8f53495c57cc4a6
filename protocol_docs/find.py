"""From the sources that a peer names to the document whose hash it names, or a typed error."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from protocol_docs.document import ProtocolDocument
from protocol_docs.errors import (
    DocumentError,
    DocumentNotFound,
    HashMismatch,
    MalformedHash,
    SourceRefused,
    SourceUnreachable,
)
from protocol_docs.hashes import parse_hash
from protocol_docs.sources import DataUri, InlineText, read_source

MAX_SOURCES = 16
"""Sources of one document that are tried."""


@runtime_checkable
class Fetcher(Protocol):
    """Gets bytes from an address. `protocol_docs.fetch.GuardedFetcher` is the one to use against strangers."""

    async def fetch(self, url: str) -> bytes:
        """The bytes at an http or https address.

        Raises `SourceRefused`, `SourceUnreachable` or `SourceTooLarge`. The caller cancels it at its deadline.
        """
        ...


async def find_document(
    hashes: Sequence[str],
    sources: Sequence[str],
    *,
    fetcher: Fetcher | None,
    timeout: float,  # noqa: ASYNC109 - one deadline for all sources, so that a caller need not know how many
) -> ProtocolDocument:
    """Try the sources in order and return the first text that has all of `hashes`.

    Args:
        hashes: One or more spellings of the document's names; a text must fit every one of them.
        sources: Texts, data URIs and addresses; the first 16 are tried.
        fetcher: How to get what stands at an address; None refuses addresses.
        timeout: Seconds for all sources together.

    Raises:
        HashMismatch: where a source had another text, and no source the right one.
        DocumentNotFound: where no source had a text at all; its `failures` say why.
        MalformedHash: where `hashes` is empty or holds something else.
    """
    import anyio  # noqa: PLC0415 - `import protocol_docs` stays light

    names = {parse_hash(spelling) for spelling in hashes}
    if not names:
        raise MalformedHash("no hash was named")
    failures: list[tuple[str, DocumentError]] = []
    with anyio.move_on_after(timeout) as scope:
        for source in sources[:MAX_SOURCES]:
            try:
                document = ProtocolDocument.from_bytes(await _bytes_of(source, fetcher))
                if names <= set(document.aliases):
                    return document
                raise HashMismatch
            except DocumentError as error:
                failures.append((source[:200], error))
    if scope.cancelled_caught:
        failures.append((sources[len(failures)][:200], SourceUnreachable(f"no time left after {timeout:g} s")))
    if any(isinstance(error, HashMismatch) for _, error in failures):
        raise HashMismatch(f"{len(failures)} sources were tried, and none has the text of {min(names)}")
    raise DocumentNotFound(failures=tuple(failures))


async def _bytes_of(source: str, fetcher: Fetcher | None) -> bytes:
    read = read_source(source)
    if isinstance(read, DataUri):
        return read.data
    if isinstance(read, InlineText):
        return read.text.encode("utf-8", errors="surrogatepass")
    if fetcher is None:
        raise SourceRefused("addresses are not fetched here")
    return await fetcher.fetch(read.url)
