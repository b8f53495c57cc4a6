"""Documents that a person's sentence cannot tell apart, by a rule that looks at no search result.

Two documents are near twins where either

- the words of their summaries (the first sentence of the description) are the same, but for their order and endings
  and for words that name no thing ("a", "of", "for", "legacy"), or
- their effects are the same, their requests have the same members, and of the words of their descriptions together at
  least nine in ten are the same.
"""

from collections.abc import Mapping
from typing import Final

from protocol_docs import ProtocolDocument
from protocol_docs.search_words import terms

LEAST_SHARED: Final = 0.9
"""Of the words of two descriptions, those in both over those in either."""
_EMPTY: Final = frozenset(terms("a an the of for to in on by from with and or is are legacy"))


def near_twins(documents: Mapping[str, ProtocolDocument]) -> dict[str, set[str]]:
    """Name -> the names of its near twins, itself not among them."""
    names = {name: frozenset(terms(one.description.partition(". ")[0])) - _EMPTY for name, one in documents.items()}
    words = {name: frozenset(terms(one.description)) - _EMPTY for name, one in documents.items()}
    shapes: dict[tuple[object, ...], list[str]] = {}
    for name, document in documents.items():
        shapes.setdefault(_shape(document), []).append(name)
    by_name: dict[frozenset[str], set[str]] = {}
    for name, found in names.items():
        by_name.setdefault(found, set()).add(name)
    twins = {name: by_name[names[name]] - {name} for name in documents}
    for alike in shapes.values():
        for one in alike:
            twins[one] |= {other for other in alike if other != one and _shared(words[one], words[other])}
    return twins


def _shape(document: ProtocolDocument) -> tuple[object, ...]:
    annex = document.annex
    request = {} if annex is None or annex.request_schema is None else annex.request_schema
    return (None if annex is None else annex.effect, tuple(sorted(request.get("properties", {}))))


def _shared(one: frozenset[str], other: frozenset[str]) -> bool:
    either = one | other
    return bool(either) and len(one & other) / len(either) >= LEAST_SHARED
