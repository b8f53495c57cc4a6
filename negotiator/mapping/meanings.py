"""What JSON-LD says that a field means: IRIs of properties and classes, read from a schema without fetching anything.

Read are `@id` and `@type` beside a field's schema, and the terms, prefixes and `@vocab` of an inline `@context`
(JSON-LD 1.1, 4.1 and 9; W3C WoT Thing Description 1.1, 7). A context that is only named by its address says what
the well-known prefixes say, and no more.
"""

from collections.abc import Iterator
from typing import Final, Literal

from negotiator.jsonvalue import JsonObject, JsonValue

MAX_TERMS: Final = 512
"""Of the contexts of one schema."""
_PREFIXES: Final = {
    "schema": "https://schema.org/",
    "sdo": "https://schema.org/",
    "saref": "https://saref.etsi.org/core/",
    "sosa": "http://www.w3.org/ns/sosa/",
    "ssn": "http://www.w3.org/ns/ssn/",
    "qudt": "http://qudt.org/schema/qudt/",
    "om": "http://www.ontology-of-units-of-measure.org/resource/om-2/",
    "om2": "http://www.ontology-of-units-of-measure.org/resource/om-2/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "iot": "http://iotschema.org/",
}
_VOCABULARIES: Final = {"schema.org": "https://schema.org/", "iotschema.org": "http://iotschema.org/"}
"""Contexts by address whose terms are the last part of their IRIs."""
_WORDS: Final = {"@id": ("@id", "x-jsonld-id", "x-rdf-property"), "@type": ("@type", "x-jsonld-type")}
_CONTEXTS: Final = ("@context", "x-jsonld-context")
_CLASS: Final = "class "
"""Before the IRIs of classes, to tell them from those of properties."""
_BY_NAME: Final = "named "
"""Before IRIs that a vocabulary gives to every name: that two of these differ says no more than the names do."""


class Context:
    """Terms and prefixes in force."""

    def __init__(self, terms: dict[str, str] | None = None, vocabulary: str = "") -> None:
        self._terms = terms or {}
        self._vocabulary = vocabulary

    def within(self, schema: JsonObject) -> "Context":
        """The context inside a schema, which adds its own to those around it."""
        found = [schema[word] for word in _CONTEXTS if word in schema]
        if not found:
            return self
        terms, vocabulary = dict(self._terms), self._vocabulary
        for part in _flat(found):
            if isinstance(part, str):
                vocabulary = next((iri for name, iri in _VOCABULARIES.items() if _is_home(part, name)), vocabulary)
                continue
            if isinstance(part.get("@vocab"), str):
                vocabulary = part["@vocab"]
            for name, value in list(part.items())[: MAX_TERMS - len(terms)]:
                iri = value.get("@id") if isinstance(value, dict) else value
                if isinstance(iri, str) and not name.startswith("@"):
                    terms[name] = iri
        return Context(terms, vocabulary)

    def stated(self, name: str) -> str | None:
        """The IRI of a term that the context defines; None for any other name."""
        return self.iri(name) if name in self._terms else None

    def iri(self, name: str, depth: int = 0) -> str | None:
        """The IRI that a term or compact IRI stands for; None where it stands for none."""
        term = self._terms.get(name)
        if term is not None and term != name and depth < 8:  # noqa: PLR2004
            return self.iri(term, depth + 1) or term
        prefix, colon, rest = name.partition(":")
        if colon and not rest.startswith("//"):
            base = self._terms.get(prefix) or _PREFIXES.get(prefix)
            return base + rest if base else name
        if colon:
            return name
        return self._vocabulary + name if self._vocabulary else None


def iris_of(name: str, schema: JsonObject, context: Context) -> frozenset[str]:
    """The IRIs that a field of this name and schema is said to be."""
    inner = context.within(schema)
    found = {context.stated(name)} if name else set()
    by_name = context.iri(name) if name else None
    stated = [value for word in _WORDS["@id"] for value in _texts(schema.get(word))]
    if stated:
        found = {inner.iri(value) for value in stated}
    classes = [inner.iri(value) or value for word in _WORDS["@type"] for value in _texts(schema.get(word))]
    implied = {_BY_NAME + _normal(by_name)} if by_name and not any(found) else set()
    return frozenset(_normal(iri) for iri in found if iri) | {_CLASS + _normal(iri) for iri in classes} | implied


def compared(one: frozenset[str], other: frozenset[str]) -> Literal["same", "class", "other", "unknown"]:
    """What two sets of IRIs say of two fields: one property, one class, or something else of one vocabulary."""
    stated = [frozenset(iri for iri in side if not iri.startswith((_CLASS, _BY_NAME))) for side in (one, other)]
    classes = [frozenset(iri for iri in side if iri.startswith(_CLASS)) for side in (one, other)]
    meant = [
        frozenset(iri.removeprefix(_BY_NAME) for iri in side if not iri.startswith(_CLASS)) for side in (one, other)
    ]
    if meant[0] & meant[1]:
        return "same"
    homes = [{_home(iri) for iri in side} for side in stated]
    if homes[0] & homes[1]:
        return "other"
    if classes[0] & classes[1]:
        return "class"
    homes = [{_home(iri) for iri in side} for side in classes]
    return "other" if homes[0] & homes[1] else "unknown"


def _home(iri: str) -> str:
    return iri[: max(iri.rfind("/"), iri.rfind("#"), iri.rfind(":")) + 1]


def _normal(iri: str) -> str:
    plain = iri.removeprefix("https://").removeprefix("http://").removeprefix("www.")
    return f"//{plain}" if plain != iri else iri


def _is_home(address: str, name: str) -> bool:
    return _normal(address).removeprefix("//").split("/")[0] == name


def _flat(value: JsonValue) -> Iterator[JsonValue]:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, list):
            yield from (inner for inner in part if isinstance(inner, str | dict))
        elif isinstance(part, str | dict):
            yield part


def _texts(value: JsonValue) -> list[str]:
    return [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, str)][:8]
