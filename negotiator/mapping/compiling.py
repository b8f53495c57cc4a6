"""A mapping as closures: built once of our own code, and nothing in the mapping is ever executed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from negotiator.errors import BadInput
from negotiator.jsonvalue import JsonValue
from negotiator.mapping.pointers import ABSENT, PLAIN, copied, getter, key_of, putter, steps_of
from negotiator.mapping.straight import flat, straightened

if TYPE_CHECKING:
    from negotiator.mapping.conversions import Transform
    from negotiator.mapping.form import FieldMapping, Mapping, Part

Compiled: TypeAlias = Callable[[JsonValue], JsonValue]
_Step: TypeAlias = Callable[[JsonValue, JsonValue], JsonValue]


def compile_mapping(mapping: "Mapping") -> Compiled:
    """What `Mapping.compile` returns."""
    fields = _written(mapping)
    steps = [(*_plainly(fields, field), _compile_field(field)) for field in fields]
    refused = [(pointer, getter(steps_of(pointer))) for pointer in mapping.refused]
    together = [(getter(steps_of(whole)), getter(steps_of(part)), part) for whole, part in mapping.together]

    def apply(value: JsonValue) -> JsonValue:
        for pointer, get in refused:
            if get(value) not in (ABSENT, None):
                raise BadInput("a field has no place at the other side", ((pointer, "has no counterpart"),))
        result: JsonValue = {}
        # Most fields are a plain value under one name that gets another: those need no step of their own.
        read = value.get if isinstance(value, dict) else _nothing
        for source, to, step in steps:
            found = read(source)
            if found.__class__ in PLAIN:
                result[to] = found
            else:
                result = step(value, result)
        for get_whole, get_part, part in together:
            if get_part(result) is ABSENT and get_whole(result) not in (ABSENT, None):
                raise BadInput("an object would lack what it needs", ((part, "has no value to be made from"),))
        return result

    return apply if mapping.refused or mapping.together else straightened(fields, apply)


def compile_flat(mapping: "Mapping") -> Compiled:
    """What `Mapping.compile_flat` returns."""
    return flat(() if mapping.refused or mapping.together else _written(mapping))


def _written(mapping: "Mapping") -> "tuple[FieldMapping, ...]":
    """The fields that say more than where every result begins: with an empty object."""
    first = mapping.fields[0] if mapping.fields else None
    begins = first is not None and not first.to and first.source is None and not first.join and first.const == {}
    return mapping.fields[1:] if begins else mapping.fields


def _plainly(fields: "tuple[FieldMapping, ...]", field: "FieldMapping") -> tuple[str | None, str]:
    """The key to read and the key to write, where a plain value is carried from one to the other as it is.

    None for the first, which is no key of any object, where the field's step has more to do.
    """
    source, to = steps_of(field.source or ""), steps_of(field.to)
    as_it_is = not (field.join or field.convert or field.each or field.table)
    if not as_it_is or len(source) != 1 or len(to) != 1 or any(not other.to for other in fields):
        return None, ""
    return source[0], to[0]


def _same(value: JsonValue) -> JsonValue:
    return value


def _nothing(_source: str | None) -> JsonValue:
    return None


def _compile_field(field: "FieldMapping") -> _Step:
    put = putter(steps_of(field.to))
    if field.join:
        return _compile_join(field, put)
    if field.source is None:
        const = field.const
        return lambda _, result: put(result, copied(const))
    source = field.source
    get = getter(steps_of(source))
    transform = _transform(field)
    # What was made item by item shares nothing with the source already.
    own = _same if field.each is not None and field.convert is None else copied

    def step(value: JsonValue, result: JsonValue) -> JsonValue:
        found = get(value)
        if found is None and field.null_is_absent:
            found = ABSENT
        if found is ABSENT and field.has_default:
            found = field.default
        if found is not ABSENT:
            return put(result, own(_carried(found, transform, source)))
        if field.required:
            raise BadInput(violations=((source, "is required"),))
        return result

    return step


def _carried(found: JsonValue, transform: "Transform | None", source: str) -> JsonValue:
    try:
        return found if transform is None or found is None else transform(found)
    except BadInput as error:
        inner = error.violations or (("", str(error)),)
        raise BadInput(str(error), tuple((source + at, text) for at, text in inner)) from error


def _compile_join(field: "FieldMapping", put: _Step) -> _Step:
    parts = [(part, getter(steps_of(part.source or "")), _converter(part)) for part in field.join]
    sources = [part.source for part in field.join if part.source is not None]

    def step(value: JsonValue, result: JsonValue) -> JsonValue:
        found = [None if part.source is None else get(value) for part, get, _ in parts]
        read = [each for each, (part, _, _) in zip(found, parts, strict=True) if part.source is not None]
        missing = [source for source, each in zip(sources, read, strict=True) if each is ABSENT or each is None]
        if len(missing) == len(sources) and not field.required:
            return result
        if missing:
            raise BadInput(violations=tuple((source, "is required") for source in missing))
        texts = [
            part.text if part.source is None else _as_text(_carried(each, transform, part.source), part.source)
            for each, (part, _, transform) in zip(found, parts, strict=True)
        ]
        return put(result, "".join(texts))

    return step


def _converter(part: "Part") -> "Transform | None":
    return None if part.convert is None else part.convert.transform()


def _as_text(value: JsonValue, source: str) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BadInput(violations=((source, "is no text that can be joined"),))


def _transform(field: "FieldMapping") -> "Transform | None":
    if field.convert is not None:
        return field.convert.transform()
    if field.each is not None:
        return _for_each(field.each.compile())
    if field.table:
        return _look_up({key_of(row[0]): row[1] for row in field.table})
    return None


def _look_up(rows: dict[Any, JsonValue]) -> "Transform":
    def convert(value: JsonValue) -> JsonValue:
        found = rows.get(key_of(value), ABSENT) if isinstance(value, str | int | float) else ABSENT
        if found is ABSENT:
            raise BadInput("the value is not among those that can be translated")
        return found

    return convert


def _for_each(apply: Compiled) -> "Transform":
    def convert(value: JsonValue) -> JsonValue:
        if not isinstance(value, list):
            raise BadInput("an array was expected")
        return [apply(item) for item in value]

    return convert
