"""JSON Pointers through objects: what they name, read and written in plain JSON values."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonValue

MAX_POINTER_CHARS: Final = 512
ABSENT: Final = object()
"""What a getter returns where there is no such field."""
PLAIN: Final = frozenset({str, int, float, bool})
"""Types whose values need no copy."""


@lru_cache(4096)  # the pointers of one mapping are read a dozen times while it is checked and compiled
def steps_of(pointer: str) -> tuple[str, ...]:
    """The object keys that a JSON Pointer names (RFC 6901). Raises `UsageError`."""
    if len(pointer) > MAX_POINTER_CHARS or (pointer and not pointer.startswith("/")):
        raise UsageError("not a JSON Pointer")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def pointer(steps: tuple[str, ...]) -> str:
    """The JSON Pointer (RFC 6901) of object keys."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def getter(steps: tuple[str, ...]) -> Callable[[JsonValue], JsonValue]:
    """Reads a field; `ABSENT` where it, or an object that would hold it, is not there."""

    def get(value: JsonValue) -> JsonValue:
        for step in steps:
            if not isinstance(value, dict) or step not in value:
                return ABSENT
            value = value[step]
        return value

    return get


def putter(steps: tuple[str, ...]) -> Callable[[JsonValue, JsonValue], JsonValue]:
    """Writes a field into a result of ours, with the objects that hold it, and returns the result."""
    if not steps:
        return lambda _, value: value
    *above, last = steps

    def put(result: JsonValue, value: JsonValue) -> JsonValue:
        place = result
        for step in above:
            # An object that was null at the source is there all the same when one of its fields is.
            if place.get(step) is None:
                place[step] = {}
            place = place[step]
        place[last] = value
        return result

    return put


def copied(value: JsonValue) -> JsonValue:
    """A deep copy of plain JSON."""
    if value.__class__ in PLAIN:
        return value
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def key_of(value: JsonValue) -> JsonValue:
    """What a scalar is looked up by: JSON's true is not 1, though Python's is."""
    return (value,) if isinstance(value, bool) else value
