"""The well-known document: which protocol documents an agent uses, and where they are to be had.

The standards of 2024 and 2025 have an object from hash to sources; the demo wraps it in `{status, protocols}`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from negotiator.dialects.agora.envelope import AgoraDialect
from negotiator.dialects.agora.fields import MAX_SOURCES
from negotiator.dialects.agora.sniff import DEMO, STANDARD_2025
from negotiator.dialects.json_body import read_object, write
from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonObject
from protocol_docs.document import ProtocolDocument
from protocol_docs.errors import DocumentError, MalformedHash
from protocol_docs.hashes import parse_hash, sha1_of, sha256_of, spell
from protocol_docs.sources import DataUri, InlineText, as_data_uri, read_source

MAX_LISTED: Final = 512
"""Documents that are read from a peer's listing; the rest is left."""


def write_listing(listed: Iterable[tuple[ProtocolDocument, tuple[str, ...]]]) -> bytes:
    """Spell what we list: 40 hex digits to sources, which the standard (9) wants non-empty."""
    return write(
        {spell(document, "sha1-hex"): list(sources) or [as_data_uri(document)] for document, sources in listed}
    )


def read_listing(data: bytes) -> tuple[AgoraDialect, Mapping[str, tuple[str, ...]]]:
    """Understand a peer's listing: the dialect that writes it so, and canonical hash to sources.

    A document whose text is among its sources is named by its SHA-256, any other by the SHA-1 that it was listed
    under. Entries that cannot be read, and texts that are not the ones they are listed as, are left out.

    Raises:
        PeerMisspoke: where it is no listing at all.
    """
    try:
        envelope = read_object(data)
    except ValueError as error:
        raise PeerMisspoke(f"not a listing: {error}") from None
    dialect: AgoraDialect = STANDARD_2025
    protocols: JsonObject = envelope
    if "protocols" in envelope and "status" in envelope:
        dialect, protocols = DEMO, envelope["protocols"]
        if not isinstance(protocols, dict):
            raise PeerMisspoke("not a listing: `protocols` is not an object")
    listing: dict[str, tuple[str, ...]] = {}
    for spelling, given in list(protocols.items())[:MAX_LISTED]:
        try:
            named = parse_hash(spelling)
        except MalformedHash:
            continue
        if isinstance(given, list) and (sources := _sources(given, named)):
            listing[_sha256(named, sources)] = sources
    return dialect, listing


def _sources(given: list[object], named: str) -> tuple[str, ...]:
    texts = (source for source in given[:MAX_SOURCES] if isinstance(source, str))
    return tuple(source for source in texts if _fits(source, named))


def _fits(source: str, named: str) -> bool:
    """Whether a source may lead to the document: one that carries a text must carry that one."""
    try:
        data = _carried(source)
    except DocumentError:
        return False
    return data is None or named in (sha256_of(data), sha1_of(data))


def _sha256(named: str, sources: tuple[str, ...]) -> str:
    carried = (data for source in sources if (data := _carried(source)) is not None)
    return next((sha256_of(data) for data in carried), named)


def _carried(source: str) -> bytes | None:
    match read_source(source):
        case InlineText(text):
            return text.encode()
        case DataUri(data):
            return data
        case _:
            return None
