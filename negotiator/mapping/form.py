"""A mapping: data that says where each field of a target comes from, and its compiled form.

A mapping is plain JSON on disk and on the wire, checked when it is read. It is compiled by our own code to
closures: nothing in it is ever executed as code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping.compiling import Compiled, compile_flat, compile_mapping
from negotiator.mapping.conversions import Transform, conversion
from negotiator.mapping.pointers import copied, key_of, steps_of

MAX_FIELDS: Final = 512
"""Fields of a mapping, nested ones included."""
MAX_DEPTH: Final = 16
"""Arrays in arrays."""
MAX_TABLE_ROWS: Final = 512
MAX_CONST_DEPTH: Final = 16

MAX_PARTS: Final = 16
"""Fields and texts of one join."""
MAX_JOINED_TEXT: Final = 64


@dataclass(frozen=True, slots=True)
class Conversion:
    """One named conversion of `negotiator.mapping.conversions`, with its pair where it takes one."""

    name: str
    source: str | None = None
    target: str | None = None

    def transform(self) -> Transform:
        """The function. Raises `UsageError` where there is no such conversion."""
        found = conversion(self.name, self.source, self.target)
        if found is None:
            raise UsageError(f"no conversion {self.name} from {self.source} to {self.target}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a text that is joined: the value of a field, or text as it stands."""

    source: str | None = None
    """JSON Pointer into the source; `from` in JSON, where text is a plain string."""
    text: str = ""
    convert: Conversion | None = None

    def __post_init__(self) -> None:
        steps_of(self.source or "")
        if (self.source is not None and self.text) or (self.source is None and self.convert is not None):
            raise UsageError("a part is a field or a text")
        if len(self.text) > MAX_JOINED_TEXT:
            raise UsageError(f"text between fields has at most {MAX_JOINED_TEXT} characters")
        if self.convert is not None:
            self.convert.transform()


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMapping:
    """Where one field of the target comes from.

    Exactly one of `source`, `join` and `const` is given; of `table`, `convert` and `each` at most one.
    """

    to: str
    """JSON Pointer into the target, through objects only; empty for the whole value."""
    source: str | None = None
    """JSON Pointer into the source, through objects only; `from` in JSON."""
    const: JsonValue = None
    """The value to write where there is no source."""
    has_default: bool = False
    default: JsonValue = None
    """What an absent source stands for, with `has_default`; translated like any other value."""
    required: bool = False
    """An absent source is then `BadInput`; else the target stays absent."""
    null_is_absent: bool = False
    """Whether a null in the source counts as absent, for targets that take no null."""
    table: tuple[tuple[JsonValue, JsonValue], ...] = ()
    """Pairs of scalars; a value that is not among the first of them is `BadInput`."""
    convert: Conversion | None = None
    each: "Mapping | None" = None
    """For arrays: what to do with each item."""
    join: tuple[Part, ...] = ()
    """Several fields as one text, in this order. They are all there or all absent; else `BadInput`."""

    @property
    def sources(self) -> tuple[str, ...]:
        """JSON Pointers of all that it reads; none for a constant."""
        if self.source is not None:
            return (self.source,)
        return tuple(part.source for part in self.join if part.source is not None)

    def __post_init__(self) -> None:
        for pointer in (self.to, self.source or ""):
            steps_of(pointer)
        if self.source is None and (self.table or self.convert or self.each or self.has_default):
            raise UsageError("a constant or a join takes no table, conversion, items or default")
        if self.join and (self.source is not None or self.const is not None or self.null_is_absent):
            raise UsageError("a field has one of from, join and const")
        if self.join and (len(self.join) > MAX_PARTS or all(part.source is None for part in self.join)):
            raise UsageError(f"a join has fields, and at most {MAX_PARTS} parts")
        if (bool(self.table) + (self.convert is not None) + (self.each is not None)) > 1:
            raise UsageError("a field has one of table, convert and each")
        if len(self.table) > MAX_TABLE_ROWS:
            raise UsageError(f"a table has at most {MAX_TABLE_ROWS} rows")
        if len({key_of(row[0]) for row in self.table}) != len(self.table):
            raise UsageError("a table names a value twice")
        if self.convert is not None:
            self.convert.transform()


@dataclass(frozen=True, slots=True)
class Mapping:
    """Field mappings, applied in order."""

    fields: tuple[FieldMapping, ...] = ()
    refused: tuple[str, ...] = ()
    """Source fields that have no place in the target: a value that holds one is `BadInput`, so that nothing the
    sender meant is dropped in silence."""
    together: tuple[tuple[str, str], ...] = ()
    """Pairs of an optional object of the target and a field that it cannot be without: a result that holds the
    one and lacks the other is `BadInput`."""

    def __post_init__(self) -> None:
        if sum(1 for _ in self._all_fields()) > MAX_FIELDS:
            raise UsageError(f"a mapping has at most {MAX_FIELDS} fields")
        written: dict[tuple[str, ...], FieldMapping] = {}
        for field in self.fields:
            steps = steps_of(field.to)
            if steps in written:
                raise UsageError("a mapping writes a field twice")
            above = [written[steps[:end]] for end in range(len(steps)) if steps[:end] in written]
            if any(not _is_empty_object(holder) for holder in above) or _is_above(steps, written):
                raise UsageError("a mapping writes one value over another")
            written[steps] = field
        for pointer in (*self.refused, *(each for pair in self.together for each in pair)):
            steps_of(pointer)

    def _all_fields(self, depth: int = 0) -> Iterator[FieldMapping]:
        if depth > MAX_DEPTH:
            raise UsageError(f"a mapping is nested at most {MAX_DEPTH} deep")
        for field in self.fields:
            yield field
            if field.each is not None:
                yield from field.each._all_fields(depth + 1)  # noqa: SLF001

    def to_json(self) -> JsonObject:
        """Plain JSON; `from_json` reads it back to an equal mapping."""
        written: JsonObject = {"fields": [_field_to_json(field) for field in self.fields]}
        if self.refused:
            written["refused"] = list(self.refused)
        if self.together:
            written["together"] = [list(pair) for pair in self.together]
        return written

    @classmethod
    def from_json(cls, value: JsonValue) -> "Mapping":
        """Read what `to_json` wrote. Raises `UsageError` where it is anything else."""
        return _mapping_from_json(value, 0)

    def compile(self) -> Compiled:
        """A pure function from source values to target values.

        What it is given is never changed. It raises `BadInput` where a required field is absent, a refused one
        present, or a value is outside its table or conversion.
        """
        return compile_mapping(self)

    def compile_flat(self) -> Compiled:
        """The same of objects that have every field that is read, each a text, number or boolean of Python's own type
        and not of one derived from it: so are those of what it makes. It gives None for any other value, and for all
        where the mapping does more than to rename.
        """
        return compile_flat(self)


def _is_empty_object(field: FieldMapping) -> bool:
    if field.source is None:
        return not field.join and (field.const is None or bool(field.const == {}))
    return field.convert is not None and field.convert.name == "to_empty_object"


def _is_above(steps: tuple[str, ...], written: dict[tuple[str, ...], FieldMapping]) -> bool:
    return any(len(other) > len(steps) and other[: len(steps)] == steps for other in written)


def _field_to_json(field: FieldMapping) -> JsonObject:
    written: JsonObject = {"to": field.to}
    if field.join:
        written["join"] = [_part_to_json(part) for part in field.join]
        return written | ({"required": True} if field.required else {})
    if field.source is None:
        written["const"] = copied(field.const)
        return written
    written["from"] = field.source
    if field.has_default:
        written["default"] = copied(field.default)
    if field.required:
        written["required"] = True
    if field.null_is_absent:
        written["null_is_absent"] = True
    if field.table:
        written["table"] = [list(row) for row in field.table]
    if field.convert is not None:
        written["convert"] = _conversion_to_json(field.convert)
    if field.each is not None:
        written["each"] = field.each.to_json()
    return written


def _part_to_json(part: Part) -> JsonValue:
    if part.source is None:
        return part.text
    return {"from": part.source} | ({} if part.convert is None else {"convert": _conversion_to_json(part.convert)})


def _conversion_to_json(convert: Conversion) -> JsonValue:
    return [part for part in (convert.name, convert.source, convert.target) if part is not None]


_FIELD_KEYS: Final = frozenset(
    {"to", "from", "const", "default", "required", "null_is_absent", "table", "convert", "each", "join"}
)
_ORIGINS: Final = frozenset({"from", "join", "const"})


def _mapping_from_json(value: JsonValue, depth: int) -> Mapping:
    if depth > MAX_DEPTH:
        raise UsageError(f"a mapping is nested at most {MAX_DEPTH} deep")
    if not isinstance(value, dict) or not value.keys() <= {"fields", "refused", "together"}:
        raise UsageError("not a mapping")
    fields: JsonValue = value.get("fields")
    refused, together = value.get("refused", []), value.get("together", [])
    lists = (fields, refused, together)
    if not all(isinstance(each, list) for each in lists) or sum(map(len, lists)) > 2 * MAX_FIELDS:
        raise UsageError("not a mapping")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in together):  # noqa: PLR2004
        raise UsageError("not a mapping")
    return Mapping(
        tuple(_field_from_json(field, depth) for field in fields),
        tuple(_text(each) for each in refused),
        tuple((_text(whole), _text(part)) for whole, part in together),
    )


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise UsageError("not a JSON Pointer")
    return value


def _field_from_json(value: JsonValue, depth: int) -> FieldMapping:
    if not isinstance(value, dict) or not value.keys() <= _FIELD_KEYS or len(value.keys() & _ORIGINS) != 1:
        raise UsageError("not a field of a mapping")
    table, join = value.get("table", []), value.get("join", [])
    required, null_is_absent = value.get("required", False), value.get("null_is_absent", False)
    rows_fit = isinstance(table, list) and all(
        isinstance(row, list) and len(row) == 2 and all(_is_scalar(cell) for cell in row)  # noqa: PLR2004
        for row in table
    )
    join_fits = isinstance(join, list) and bool(join) == ("join" in value)
    if not rows_fit or not join_fits or not isinstance(required, bool) or not isinstance(null_is_absent, bool):
        raise UsageError("not a field of a mapping")
    for constant in (value.get("const"), value.get("default")):
        _require_shallow(constant, 0)
    return FieldMapping(
        to=_text(value.get("to")),
        source=_text(value["from"]) if "from" in value else None,
        const=copied(value.get("const")),
        has_default="default" in value,
        default=copied(value.get("default")),
        required=required,
        null_is_absent=null_is_absent,
        table=tuple((row[0], row[1]) for row in table),
        convert=_conversion_from_json(value.get("convert")),
        join=tuple(_part_from_json(part) for part in join),
        each=_mapping_from_json(value["each"], depth + 1) if "each" in value else None,
    )


def _part_from_json(value: JsonValue) -> Part:
    if isinstance(value, str):
        return Part(text=value)
    if not isinstance(value, dict) or not {"from"} <= value.keys() <= {"from", "convert"}:
        raise UsageError("not a part of a join")
    return Part(source=_text(value["from"]), convert=_conversion_from_json(value.get("convert")))


def _conversion_from_json(value: JsonValue) -> Conversion | None:
    if value is None:
        return None
    if not isinstance(value, list) or not 1 <= len(value) <= 3 or not all(isinstance(part, str) for part in value):  # noqa: PLR2004
        raise UsageError("not a conversion")
    return Conversion(*value)


def _is_scalar(value: JsonValue) -> bool:
    return isinstance(value, str | int | float)


def _require_shallow(value: JsonValue, depth: int) -> None:
    if depth > MAX_CONST_DEPTH:
        raise UsageError(f"a constant is nested at most {MAX_CONST_DEPTH} deep")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _require_shallow(item, depth + 1)
