"""Which source field a target field is read from, asked of the model for one record at hand.

The model names fields and the host carries the values: nothing is copied by the model, so nothing is miscopied,
and a reply of many rows costs one answer of a few words a field. Fields that no copying can make are left open.
"""

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field

from negotiator.describe import value_of
from negotiator.interpret import Interpreter
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import FieldMapping, Inference, Mapping
from negotiator.mapping.carry import Carry, carry
from negotiator.mapping.fields import Field, Shape, same_values, shape_of
from negotiator.mapping.pointers import pointer
from negotiator.models.asking import quoted
from negotiator.prompts import prompt

NONE = "none"
MAX_SHOWN = 160
"""Characters of one value or description that a question shows."""
MAX_ASKED = 40
"""Fields of one question; the rest are left open."""
FIRM = 3.0
"""The margin, in log-odds, from which a pair that rules found stands against the model.

For such pairs the structured tier and a candidate mapping rest on the same rule: their agreement is no second
opinion, and what protects is the margin alone. It is the least margin from which at most 0.5 % of the pairs are wrong
on the training split of SGD-X, whichever slots are missing, with embeddings and without; `python -m benchmarks run sgdx-mapping` prints the table.
"""
_MAX_DEPTH = 4


@dataclass(slots=True)
class Pairing:
    """What copying can make of a record."""

    fields: list[FieldMapping] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    """JSON Pointers of target fields that have to be filled by value; items of arrays are reached by `/-`."""
    unread: list[str] = field(default_factory=list)
    """Source fields of the record at hand that hold something and that no target field is read from."""

    @property
    def mapping(self) -> Mapping:
        """The fields as a mapping."""
        return Mapping(tuple(self.fields))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in both schemas we are: pointers above, and what stands below."""

    above_source: str
    above_target: str
    source: Shape
    target: Shape
    firm: frozenset[str] = frozenset()
    """Pointers of target fields whose pair, by rule, no answer of the model undoes."""
    templates: MappingOf[str, FieldMapping] = field(default_factory=dict)
    """By pointer, target fields that a template makes of several, or of a part of one."""


def firm_targets(inference: Inference) -> frozenset[str]:
    """JSON Pointers of the target fields whose pair, by rule, no answer of the model undoes."""
    return frozenset(match.target for match in inference.matches if match.margin >= FIRM)


async def pair_record(
    interpreter: Interpreter,
    description: str,
    record: JsonValue,
    source_schema: JsonObject,
    target_schema: JsonObject,
    inference: Inference,
) -> Pairing:
    """Pair the fields of two schemas for the record at hand. Raises `ModelError`.

    `inference` is what rules know: its exact pairs and conversions of units are taken, the rest is asked, and
    where the model contradicts a pair that rules are sure of, a firm one stands, and about another it is asked again.
    """
    sure = {match.target: match.source for match in inference.matches}
    made = _templates(inference.partial, {match.target for match in inference.matches if match.basis == "template"})
    place = _Place("", "", shape_of(source_schema), shape_of(target_schema), firm_targets(inference), made)
    return await _pair(interpreter, description, record, place, sure, 0)


def _templates(mapping: Mapping, targets: set[str], above: str = "") -> dict[str, FieldMapping]:
    found = {above + one.to: one for one in mapping.fields if above + one.to in targets}
    for one in mapping.fields:
        if one.each is not None:
            found |= _templates(one.each, targets, f"{above}{one.to}/-")
    return found


async def _pair(
    interpreter: Interpreter,
    description: str,
    record: JsonValue,
    place: _Place,
    sure: MappingOf[str, str],
    depth: int,
) -> Pairing:
    found = Pairing(fields=[FieldMapping(to=pointer(path), const={}) for path in place.target.required_objects])
    found.fields += [
        FieldMapping(to=pointer(path), const=None) for path, always in place.target.nullable_objects if always
    ]
    read: set[tuple[str, ...]] = set()
    asked: list[Field] = []
    for wanted in place.target.fields:
        template = place.templates.get(place.above_target + pointer(wanted.path))
        if template is not None:
            found.fields.append(template)
            read |= {one.path for one in place.source.fields if pointer(one.path) in template.sources}
            continue
        given = _by_rule(wanted, place, sure)
        if given is not None:
            found.fields.append(_copied(given, wanted, carry(given, wanted) or Carry()))
            read.add(given.path)
        elif _rows_of(wanted) is not None:
            array = _array_for(wanted, place, sure)
            if array is None or depth >= _MAX_DEPTH:
                found.open.append(place.above_target + pointer(wanted.path))
                continue
            read.add(array.path)
            await _pair_rows(interpreter, description, record, place, sure, depth, wanted, array, found)
        else:
            asked.append(wanted)
    pairs = await _ask(interpreter, description, record, place, sure, asked, read)
    for wanted in asked:
        given = pairs.get(wanted.path)
        carried = None if given is None else carry(given, wanted)
        if given is not None and carried is not None and carried.needs == "none":
            found.fields.append(_copied(given, wanted, carried))
            read.add(given.path)
        elif given is not None or wanted.required:
            found.open.append(place.above_target + pointer(wanted.path))
    found.unread += [
        place.above_source + pointer(given.path)
        for given in place.source.fields
        if given.path not in read and _value(record, given.path) is not None
    ]
    return found


async def _pair_rows(
    interpreter: Interpreter,
    description: str,
    record: JsonValue,
    place: _Place,
    sure: MappingOf[str, str],
    depth: int,
    wanted: Field,
    array: Field,
    found: Pairing,
) -> None:
    rows = _value(record, array.path)
    inner = Pairing()
    if isinstance(rows, list) and rows:
        below = _Place(
            f"{place.above_source}{pointer(array.path)}/-",
            f"{place.above_target}{pointer(wanted.path)}/-",
            shape_of(_rows_of(array) or {}, array.document),
            shape_of(_rows_of(wanted) or {}, wanted.document),
            place.firm,
            place.templates,
        )
        inner = await _pair(interpreter, description, rows[0], below, sure, depth + 1)
    found.fields.append(
        FieldMapping(to=pointer(wanted.path), source=pointer(array.path), required=wanted.required, each=inner.mapping)
    )
    found.open += inner.open
    found.unread += inner.unread


def _by_rule(wanted: Field, place: _Place, sure: MappingOf[str, str]) -> Field | None:
    """The field that leaves no choice: a namesake of the same values, or the same number in another unit."""
    named = sure.get(place.above_target + pointer(wanted.path))
    given = next((one for one in place.source.fields if place.above_source + pointer(one.path) == named), None)
    if given is None or _rows_of(wanted) is not None:
        return None
    carried = carry(given, wanted)
    if carried is None or carried.needs != "none":
        return None
    converted = carried.convert is not None and carried.convert.name == "unit"
    return given if converted or (given.path == wanted.path and same_values(given, wanted)) else None


def _array_for(wanted: Field, place: _Place, sure: MappingOf[str, str]) -> Field | None:
    named = sure.get(place.above_target + pointer(wanted.path))
    arrays = [one for one in place.source.fields if _rows_of(one) is not None]
    for one in arrays:
        if place.above_source + pointer(one.path) == named:
            return one
    return arrays[0] if len(arrays) == 1 else None


def _rows_of(one: Field) -> JsonObject | None:
    """The schema of the items, of an array of objects."""
    items = one.items
    if items is None:
        return None
    shape = shape_of(items, one.document)
    return items if shape.required_objects and shape.fields else None


async def _ask(
    interpreter: Interpreter,
    description: str,
    record: JsonValue,
    place: _Place,
    sure: MappingOf[str, str],
    asked: Sequence[Field],
    read: set[tuple[str, ...]],
) -> dict[tuple[str, ...], Field]:
    """For each asked field, the source field that the model says it is read from."""
    offered = [one for one in place.source.fields if one.path not in read and _rows_of(one) is None]
    names = {_label(one): one for one in offered}
    options: dict[str, list[str]] = {}
    for wanted in asked[:MAX_ASKED]:
        fitting = [name for name, one in names.items() if carry(one, wanted) is not None]
        if fitting:
            # Small models say "none" too readily to be heard against a pair that rules are sure of.
            certain = place.above_target + pointer(wanted.path) in sure
            options[_label(wanted)] = fitting if certain else [*fitting, NONE]
    if not options:
        return {}
    by_label = {_label(one): one for one in asked}
    shown = {label: by_label[label] for label in options}
    chosen = await _question(interpreter, description, record, offered, shown, options)
    firm = {label for label, wanted in shown.items() if place.above_target + pointer(wanted.path) in place.firm}
    ruled = {
        label: _label(one)
        for label, wanted in shown.items()
        for one in offered
        if place.above_source + pointer(one.path) == sure.get(place.above_target + pointer(wanted.path))
    }
    # Measured: two answers of a small model weigh about as much as a margin of 1; rules that are surer stand.
    chosen |= {label: name for label, name in ruled.items() if label in chosen and label in firm}
    taken = list(chosen.values())
    doubted = {
        label: sorted({ruled[label], name})
        for label, name in chosen.items()
        if label in ruled and (name != ruled[label] or taken.count(name) > 1)
    }
    doubted = {label: names_ for label, names_ in doubted.items() if len(names_) > 1}
    if doubted:
        # Rule and model contradict each other: one more opinion, between the two alone, decides.
        again = {label: by_label[label] for label in doubted}
        chosen |= await _question(interpreter, description, record, offered, again, doubted)
    return {by_label[label].path: names[name] for label, name in chosen.items() if name != NONE}


async def _question(
    interpreter: Interpreter,
    description: str,
    record: JsonValue,
    offered: Sequence[Field],
    wanted: MappingOf[str, Field],
    options: MappingOf[str, Sequence[str]],
) -> dict[str, str]:
    possible = {name for names in options.values() for name in names}
    source = "\n".join(
        f"- {_label(one)}: {_text(one.description)}; here {value_of(_value(record, one.path), MAX_SHOWN)}"
        for one in offered
        if _label(one) in possible
    )
    target = "\n".join(f"- {label}: {_text(one.description)}{_values(one)}" for label, one in wanted.items())
    system, user = prompt(
        "pair_fields",
        description=quoted(description, 600),
        source_fields=quoted(source, 8_000),
        target_fields=quoted(target, 8_000),
    )
    schema: JsonObject = {
        "type": "object",
        "properties": {label: {"enum": list(names)} for label, names in options.items()},
        "required": list(options),
        "additionalProperties": False,
    }
    answer = await interpreter.choose("pair_fields", system, user, schema, 48 + 24 * len(options))
    return {label: str(name) for label, name in answer.items()}


def _copied(given: Field, wanted: Field, carried: Carry) -> FieldMapping:
    each = None
    if carried.item is not None:
        item = FieldMapping(to="", source="", table=carried.item.table, convert=carried.item.convert, required=True)
        each = Mapping((item,))
    return FieldMapping(
        to=pointer(wanted.path),
        source=pointer(given.path),
        required=wanted.required,
        null_is_absent=given.nullable and not wanted.nullable,
        table=carried.table,
        convert=carried.convert,
        each=each,
    )


def _label(one: Field) -> str:
    return ".".join(one.path)[:80] or "value"


def _text(description: str) -> str:
    return " ".join(description.split())[:MAX_SHOWN]


def _values(one: Field) -> str:
    if one.enum is None:
        return f" ({one.format})" if one.format else ""
    return " (one of " + ", ".join(value_of(value, 24) for value in one.enum[:6]) + ")"


def _value(record: JsonValue, path: tuple[str, ...]) -> JsonValue:
    for step in path:
        if not isinstance(record, dict) or step not in record:
            return None
        record = record[step]
    return record
