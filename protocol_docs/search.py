"""Find documents by words: no model, no index to keep, the same order everywhere.

Okapi BM25 (Robertson and Zaragoza 2009, section 3) over names, descriptions, the names of schema members and the
first of the prose. Names count most. Identifiers are split into their words; scripts that write no blanks between
words (Chinese, Japanese, Korean, Thai) are matched by pairs of characters.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from math import log
from typing import Any, NamedTuple

from protocol_docs.document import ProtocolDocument
from protocol_docs.tidy import map_subschemas

_NAME, _DESCRIPTION, _MEMBER, _PROSE = 6, 3, 2, 1
_PROSE_CHARACTERS = 4000
_SATURATION, _LENGTH = 1.2, 0.75
_UNSPACED = "\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PLURAL = re.compile(r"(?<=[a-z]{3})(?<![sui])s$")


class Hit(NamedTuple):
    """A document that was found. Scores compare within one search, and mean nothing across two."""

    document: ProtocolDocument
    score: float


def search(query: str, documents: Iterable[ProtocolDocument], limit: int = 10) -> list[Hit]:
    """The documents that fit the words of `query` best, best first; equal ones by hash. At most `limit`."""
    wanted = set(terms(query[:1000]))
    counted = [(document, _count(document)) for document in documents]
    lengths = [sum(counts.values()) for _, counts in counted]
    average = sum(lengths) / len(lengths) if lengths else 1.0
    rarity = {term: _rarity(sum(term in counts for _, counts in counted), len(counted)) for term in wanted}
    hits = []
    for (document, counts), length in zip(counted, lengths, strict=True):
        slack = _SATURATION * (1 - _LENGTH + _LENGTH * length / average)
        score = sum(rarity[term] * counts[term] * (_SATURATION + 1) / (counts[term] + slack) for term in sorted(wanted))
        if score > 0:
            hits.append(Hit(document, score))
    return sorted(hits, key=lambda hit: (-hit.score, hit.document.hash))[:limit]


def terms(text: str) -> Iterator[str]:
    """The words of a text as they are compared: folded, split at case and underscores, without a plural s."""
    for match in _WORD.finditer(text):
        run = match[0]
        if re.match(f"[{_UNSPACED}]", run):
            yield from (run[index : index + 2] for index in range(max(1, len(run) - 1)))
        else:
            yield from (_PLURAL.sub("", word.casefold()) for word in _CAMEL.split(run))


def _rarity(found: int, total: int) -> float:
    return log(1 + (total - found + 0.5) / (found + 0.5))


def _count(document: ProtocolDocument) -> Counter[str]:
    counts: Counter[str] = Counter()
    members: list[str] = []
    if document.annex is not None:
        for schema in (document.annex.request_schema, document.annex.reply_schema):
            members.extend(_member_names(schema))
    fields = (
        (_NAME, document.name),
        (_DESCRIPTION, document.description),
        (_MEMBER, " ".join(members)),
        (_PROSE, document.body[:_PROSE_CHARACTERS]),
    )
    for weight, text in fields:
        for term in terms(text):
            counts[term] += weight
    return counts


def _member_names(schema: Any) -> list[str]:
    names: list[str] = []

    def collect(node: Any) -> Any:
        if isinstance(node, dict):
            names.extend(node["properties"] if isinstance(node.get("properties"), dict) else ())
            map_subschemas(node, collect)
        return node

    collect(schema)
    return names
