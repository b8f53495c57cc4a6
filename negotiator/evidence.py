"""What an exchange of the structured tier shows about a routine, and the last such exchanges: our private examples.

They are kept in the text store, so that a routine that is made anew, or compiled under a newer sandbox policy, is held
against them without a model call. They are bounded in number and size, and no peer, document or model is given them.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import orjson

from negotiator.errors import NegotiatorError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import FieldMapping, Mapping
from negotiator.mapping.fields import Field, shape_of
from negotiator.mapping.pointers import pointer
from negotiator.routines import Role
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

Place: TypeAlias = tuple[str, Role, str]
"""Where a routine stands: document, role, digest of the task or toolset."""

MAX_EXCHANGE_BYTES: Final = 32_768
"""A larger exchange is not kept."""
MAX_PLACES: Final = 512
"""Places that exchanges are kept for; beyond that none are kept for new ones."""
_PREFIX: Final = "examples/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying:
    """What the structured tier copied in one direction, as a rule that holds for values other than the one at hand."""

    mapping: Mapping
    """In a request it refuses what nothing is read from, as that tier does."""
    whole: bool
    """Whether copying made all of it; where not, the rest was filled by value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One exchange that the structured tier has answered."""

    given: JsonValue
    """A sender's input; the request body at a receiver."""
    passed: JsonValue
    """The request body; the tool's arguments."""
    returned: JsonValue
    """The reply body; the tool's result."""
    made: JsonValue
    """The output; the reply body."""
    into: Copying | None = None
    """None where a model wrote all of `passed`, or a routine made it."""
    back: Copying | None = None


def copying_of(mapping: Mapping, source_schema: JsonObject, *, whole: bool, request: bool) -> Copying:
    """The rule behind what was copied for one record of `source_schema`."""
    return Copying(mapping=_refusing(mapping, source_schema, source_schema) if request else mapping, whole=whole)


def _refusing(mapping: Mapping, schema: JsonObject, document: JsonObject) -> Mapping:
    """The mapping, refusing each field of its source that it does not read."""
    places = {pointer(place.path): place for place in shape_of(schema, document).fields}
    fields = tuple(_refusing_inside(each, places.get(each.source or "")) for each in mapping.fields)
    read = {place for each in fields for place in each.sources}
    return replace(mapping, fields=fields, refused=tuple(place for place in places if place not in read))


def _refusing_inside(field: FieldMapping, place: Field | None) -> FieldMapping:
    if field.each is None or place is None or place.items is None:
        return field
    return replace(field, each=_refusing(field.each, place.items, place.document))


def inverse(mapping: Mapping) -> Mapping | None:
    """The mapping from its target back to its source; None where some field cannot be turned round."""
    fields = []
    for field in mapping.fields:
        if field.join:
            return None
        if field.source is None:
            continue
        each = None if field.each is None else inverse(field.each)
        table = tuple((row[1], row[0]) for row in field.table)
        unique = len({orjson.dumps(row[0]) for row in table}) == len(table)
        if field.convert is not None or not unique or (field.each is not None and each is None):
            return None
        fields.append(FieldMapping(to=field.source, source=field.to, table=table, each=each))
    with suppress(NegotiatorError):
        return Mapping(tuple(fields))
    return None


def kept(store: TextStore, place: Place) -> list[Exchange]:
    """The exchanges kept for a place, the oldest first; a row that cannot be read is none."""
    try:
        return [_exchange(row) for row in _rows(store, place)]
    except (NegotiatorError, KeyError, TypeError, ValueError):
        return []


def keep(store: TextStore, place: Place, exchange: Exchange, most: int) -> None:
    """Keep an exchange for a place, with the last `most` - 1 that were given something else."""
    row = _row(exchange)
    try:
        size = len(orjson.dumps(row))
    except TypeError:
        return
    if most < 1 or size > MAX_EXCHANGE_BYTES:
        return
    before = _rows(store, place)
    rows = [*(each for each in before if each.get("given") != exchange.given), row][-most:]
    with suppress(StoreUnusable):
        if not before and sum(1 for _ in store.keys(_PREFIX)) >= MAX_PLACES:
            return
        store.put(_key(place), orjson.dumps(rows).decode())


def _rows(store: TextStore, place: Place) -> list[JsonObject]:
    try:
        rows = orjson.loads(store.get(_key(place)) or "[]")
    except (orjson.JSONDecodeError, StoreUnusable):
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _key(place: Place) -> str:
    protocol_hash, role, digest = place
    return f"{_PREFIX}{role}/{protocol_hash}/{digest}"


def _row(exchange: Exchange) -> JsonObject:
    return {
        "given": exchange.given,
        "passed": exchange.passed,
        "returned": exchange.returned,
        "made": exchange.made,
        "into": _copying_row(exchange.into),
        "back": _copying_row(exchange.back),
    }


def _copying_row(copying: Copying | None) -> JsonValue:
    return None if copying is None else {"mapping": copying.mapping.to_json(), "whole": copying.whole}


def _exchange(row: JsonObject) -> Exchange:
    return Exchange(
        given=row["given"],
        passed=row["passed"],
        returned=row["returned"],
        made=row["made"],
        into=_copying(row["into"]),
        back=_copying(row["back"]),
    )


def _copying(row: JsonValue) -> Copying | None:
    if row is None:
        return None
    return Copying(mapping=Mapping.from_json(row["mapping"]), whole=bool(row["whole"]))


def reads(fields: Sequence[FieldMapping], above: str = "") -> set[str]:
    """The places of the source that fields are read from, as JSON Pointers with `/-` for items."""
    found: set[str] = set()
    for field in fields:
        found |= {above + place for place in field.sources}
        if field.each is not None:
            found |= reads(field.each.fields, f"{above}{field.source}/-")
    return found
