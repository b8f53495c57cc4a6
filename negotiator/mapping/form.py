"""A mapping: data that says where each field of a target comes from, and its compiled form.

A mapping is plain JSON on disk and on the wire, checked when it is read. It is compiled by our own code to
closures: nothing in it is ever executed as code.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from negotiator.errors import BadInput, UsageError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping.conversions import Transform, conversion

MAX_FIELDS: Final = 512
"""Fields of a mapping, nested ones included."""
MAX_DEPTH: Final = 16
"""Arrays in arrays."""
MAX_POINTER_CHARS: Final = 512
MAX_TABLE_ROWS: Final = 512
MAX_CONST_DEPTH: Final = 16

Compiled: TypeAlias = Callable[[JsonValue], JsonValue]

_ABSENT: Final = object()


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
class FieldMapping:
    """Where one field of the target comes from.

    Exactly one of `source` and `const` is given; of `table`, `convert` and `each` at most one.
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

    def __post_init__(self) -> None:
        for pointer in (self.to, self.source or ""):
            _steps(pointer)
        if self.source is None and (self.table or self.convert or self.each or self.has_default):
            raise UsageError("a constant takes no table, conversion, items or default")
        if (bool(self.table) + (self.convert is not None) + (self.each is not None)) > 1:
            raise UsageError("a field has one of table, convert and each")
        if len(self.table) > MAX_TABLE_ROWS:
            raise UsageError(f"a table has at most {MAX_TABLE_ROWS} rows")
        if len({_key(row[0]) for row in self.table}) != len(self.table):
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
            steps = _steps(field.to)
            if steps in written:
                raise UsageError("a mapping writes a field twice")
            above = [written[steps[:end]] for end in range(len(steps)) if steps[:end] in written]
            if any(not _is_empty_object(holder) for holder in above) or _is_above(steps, written):
                raise UsageError("a mapping writes one value over another")
            written[steps] = field
        for pointer in (*self.refused, *(each for pair in self.together for each in pair)):
            _steps(pointer)

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
        steps = [_compile_field(field) for field in self.fields]
        refused = [(pointer, _getter(_steps(pointer))) for pointer in self.refused]
        together = [(_getter(_steps(whole)), _getter(_steps(part)), part) for whole, part in self.together]

        def apply(value: JsonValue) -> JsonValue:
            for pointer, get in refused:
                if get(value) not in (_ABSENT, None):
                    raise BadInput("a field has no place at the other side", ((pointer, "has no counterpart"),))
            result: JsonValue = {}
            for step in steps:
                result = step(value, result)
            for get_whole, get_part, part in together:
                if get_part(result) is _ABSENT and get_whole(result) is not _ABSENT:
                    raise BadInput("an object would lack what it needs", ((part, "has no value to be made from"),))
            return result

        return apply


def _is_empty_object(field: FieldMapping) -> bool:
    if field.source is None:
        return bool(field.const == {})
    return field.convert is not None and field.convert.name == "to_empty_object"


def _is_above(steps: tuple[str, ...], written: dict[tuple[str, ...], FieldMapping]) -> bool:
    return any(len(other) > len(steps) and other[: len(steps)] == steps for other in written)


def _compile_field(field: FieldMapping) -> Callable[[JsonValue, JsonValue], JsonValue]:
    put = _putter(_steps(field.to))
    if field.source is None:
        const = field.const
        return lambda _, result: put(result, _copy(const))
    source = field.source
    get = _getter(_steps(source))
    transform = _transform(field)

    def step(value: JsonValue, result: JsonValue) -> JsonValue:
        found = get(value)
        if found is None and field.null_is_absent:
            found = _ABSENT
        if found is _ABSENT and field.has_default:
            found = field.default
        if found is not _ABSENT:
            try:
                converted = found if transform is None or found is None else transform(found)
            except BadInput as error:
                inner = error.violations or (("", str(error)),)
                raise BadInput(str(error), tuple((source + at, text) for at, text in inner)) from error
            return put(result, _copy(converted))
        if field.required:
            raise BadInput(violations=((source, "is required"),))
        return result

    return step


def _transform(field: FieldMapping) -> Transform | None:
    if field.convert is not None:
        return field.convert.transform()
    if field.each is not None:
        return _for_each(field.each.compile())
    if field.table:
        return _look_up({_key(row[0]): row[1] for row in field.table})
    return None


def _look_up(rows: dict[Any, JsonValue]) -> Transform:
    def convert(value: JsonValue) -> JsonValue:
        found = rows.get(_key(value), _ABSENT) if isinstance(value, str | int | float) else _ABSENT
        if found is _ABSENT:
            raise BadInput("the value is not among those that can be translated")
        return found

    return convert


def _for_each(apply: Compiled) -> Transform:
    def convert(value: JsonValue) -> JsonValue:
        if not isinstance(value, list):
            raise BadInput("an array was expected")
        return [apply(item) for item in value]

    return convert


def _getter(steps: tuple[str, ...]) -> Callable[[JsonValue], JsonValue]:
    def get(value: JsonValue) -> JsonValue:
        for step in steps:
            if not isinstance(value, dict) or step not in value:
                return _ABSENT
            value = value[step]
        return value

    return get


def _putter(steps: tuple[str, ...]) -> Callable[[JsonValue, JsonValue], JsonValue]:
    if not steps:
        return lambda _, value: value
    *above, last = steps

    def put(result: JsonValue, value: JsonValue) -> JsonValue:
        place = result
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
        return result

    return put


def _copy(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _key(value: JsonValue) -> JsonValue:
    # JSON's true is not 1, though Python's is.
    return (value,) if isinstance(value, bool) else value


def _steps(pointer: str) -> tuple[str, ...]:
    """The object keys that a JSON Pointer names (RFC 6901). Raises `UsageError`."""
    if len(pointer) > MAX_POINTER_CHARS or (pointer and not pointer.startswith("/")):
        raise UsageError("not a JSON Pointer")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def pointer(steps: tuple[str, ...]) -> str:
    """The JSON Pointer (RFC 6901) of object keys."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def _field_to_json(field: FieldMapping) -> JsonObject:
    written: JsonObject = {"to": field.to}
    if field.source is None:
        written["const"] = _copy(field.const)
        return written
    written["from"] = field.source
    if field.has_default:
        written["default"] = _copy(field.default)
    if field.required:
        written["required"] = True
    if field.null_is_absent:
        written["null_is_absent"] = True
    if field.table:
        written["table"] = [list(row) for row in field.table]
    if field.convert is not None:
        parts = (field.convert.name, field.convert.source, field.convert.target)
        written["convert"] = [part for part in parts if part is not None]
    if field.each is not None:
        written["each"] = field.each.to_json()
    return written


_FIELD_KEYS: Final = frozenset(
    {"to", "from", "const", "default", "required", "null_is_absent", "table", "convert", "each"}
)


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
    if not isinstance(value, dict) or not value.keys() <= _FIELD_KEYS or ("from" in value) == ("const" in value):
        raise UsageError("not a field of a mapping")
    table, convert = value.get("table", []), value.get("convert")
    required, null_is_absent = value.get("required", False), value.get("null_is_absent", False)
    rows_fit = isinstance(table, list) and all(
        isinstance(row, list) and len(row) == 2 and all(_is_scalar(cell) for cell in row)  # noqa: PLR2004
        for row in table
    )
    convert_fits = convert is None or (
        isinstance(convert, list) and 1 <= len(convert) <= 3 and all(isinstance(part, str) for part in convert)  # noqa: PLR2004
    )
    if not rows_fit or not convert_fits or not isinstance(required, bool) or not isinstance(null_is_absent, bool):
        raise UsageError("not a field of a mapping")
    for constant in (value.get("const"), value.get("default")):
        _require_shallow(constant, 0)
    return FieldMapping(
        to=_text(value.get("to")),
        source=_text(value["from"]) if "from" in value else None,
        const=_copy(value.get("const")),
        has_default="default" in value,
        default=_copy(value.get("default")),
        required=required,
        null_is_absent=null_is_absent,
        table=tuple((row[0], row[1]) for row in table),
        convert=None if convert is None else Conversion(*convert),
        each=_mapping_from_json(value["each"], depth + 1) if "each" in value else None,
    )


def _is_scalar(value: JsonValue) -> bool:
    return isinstance(value, str | int | float)


def _require_shallow(value: JsonValue, depth: int) -> None:
    if depth > MAX_CONST_DEPTH:
        raise UsageError(f"a constant is nested at most {MAX_CONST_DEPTH} deep")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        _require_shallow(item, depth + 1)
