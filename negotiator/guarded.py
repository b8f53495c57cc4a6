"""What an agent fetches from addresses that strangers choose."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from protocol_docs import ProtocolDocument, find_document

if TYPE_CHECKING:
    from protocol_docs.fetch import Answer


class Guarded:
    """Protocol documents and DID documents, from public addresses and the networks that are allowed beside them."""

    def __init__(self, allow: Sequence[str]) -> None:
        """`allow`: `loopback`, `private`, networks; see `protocol_docs.fetch.GuardedFetcher`."""
        self._allow = tuple(allow)

    @property
    def loopback(self) -> bool:
        """Whether this machine's own addresses are allowed."""
        return "loopback" in self._allow

    async def did_document(self, url: str) -> bytes:
        """The bytes at the address of a DID document; raises what the fetcher does."""
        from negotiator.identity.resolver import MAX_DOCUMENT_BYTES  # noqa: PLC0415 - imported on use
        from protocol_docs.fetch import GuardedFetcher  # noqa: PLC0415 - imported on use

        return await GuardedFetcher(allow=self._allow, max_bytes=MAX_DOCUMENT_BYTES, seconds=5.0).fetch(url)

    async def exchange(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> "Answer":
        """One request to an authorization server that a peer named; see `GuardedFetcher.exchange`."""
        from negotiator.oauth.discovery import MAX_METADATA_BYTES  # noqa: PLC0415 - imported on use
        from protocol_docs.fetch import GuardedFetcher  # noqa: PLC0415 - imported on use

        fetcher = GuardedFetcher(allow=self._allow, max_bytes=MAX_METADATA_BYTES, seconds=10.0)
        return await fetcher.exchange(method, url, headers=headers, body=body)

    async def file(self, url: str, max_bytes: int) -> bytes:
        """The bytes of a file that a peer refers to; raises what the fetcher does."""
        from protocol_docs.fetch import GuardedFetcher  # noqa: PLC0415 - imported on use

        return await GuardedFetcher(allow=self._allow, max_bytes=max_bytes).fetch(url)

    async def document(
        self,
        hashes: Sequence[str],
        sources: Sequence[str],
        *,
        timeout: float,  # noqa: ASYNC109 - protocol_docs' own word
    ) -> ProtocolDocument:
        """See `protocol_docs.find_document`."""
        from protocol_docs.fetch import GuardedFetcher  # noqa: PLC0415 - imported on use

        return await find_document(hashes, sources, fetcher=GuardedFetcher(allow=self._allow), timeout=timeout)
