"""The shape that most values have, every field there and plain, read and written in one go.

A mapping's steps ask of each field whether it is there, null, nested. Where all of them are there and plain, one
function can take the fields out and put them down again, as a person would write it; Python makes its code. Its text
is made of numbers alone: how many fields there are, and which are lists. What a mapping says, names and constants,
is handed to it as values and is never part of a text. A value of any other shape is the steps' business.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from negotiator.errors import BadInput
from negotiator.jsonvalue import JsonValue
from negotiator.mapping.pointers import PLAIN, steps_of

if TYPE_CHECKING:
    from negotiator.mapping.form import FieldMapping

Compiled: TypeAlias = Callable[[JsonValue], JsonValue]
MAX_FIELDS: Final = 64
"""Fields of an object that are read in one go; more are rare, and left to the steps."""


def straightened(fields: "tuple[FieldMapping, ...]", steps: Compiled) -> Compiled:
    """`steps`, the whole of what is done with `fields`, behind the straight way where they have one."""
    if not 0 < len(fields) <= MAX_FIELDS or not all(map(_is_simple, fields)):
        return steps
    given: dict[str, Any] = {"plain": PLAIN, "steps": steps, "other": (KeyError, TypeError, BadInput)}
    for number, field in enumerate(fields):
        given[f"from{number}"], given[f"to{number}"] = steps_of(field.source or "")[0], steps_of(field.to)[0]
        if field.each is not None:
            given[f"each{number}"] = field.each.compile()
    exec(_code("".join("p" if field.each is None else "l" for field in fields)), given)  # noqa: S102 - our text
    made: Compiled = given["straight"]
    return made


def flat(fields: "tuple[FieldMapping, ...]") -> Compiled:
    """The straight way alone, where none of `fields` is a list: see `Mapping.compile_flat`."""
    return _none if any(field.each is not None for field in fields) else straightened(fields, _none)


def _none(_value: JsonValue) -> JsonValue:
    return None


def _is_simple(field: "FieldMapping") -> bool:
    as_it_is = field.source is not None and field.convert is None and not field.table
    return as_it_is and len(steps_of(field.source or "")) == 1 and len(steps_of(field.to)) == 1


@lru_cache(256)
def _code(kinds: str) -> Any:
    """The function's code; `kinds` says of each field whether it is plain, `p`, or a list, `l`."""
    fields = list(enumerate(kinds))
    read = "\n".join(f"        v{n} = value[from{n}]" for n, _ in fields)
    fits = " and ".join(f"v{n}.__class__ in plain" if kind == "p" else f"v{n}.__class__ is list" for n, kind in fields)
    made = ", ".join(f"to{n}: v{n}" if kind == "p" else f"to{n}: [each{n}(x) for x in v{n}]" for n, kind in fields)
    handed = ", ".join(
        f"from{n}=from{n}, to{n}=to{n}" + ("" if kind == "p" else f", each{n}=each{n}") for n, kind in fields
    )
    text = (
        f"def straight(value, *, steps=steps, other=other, plain=plain, {handed}):\n"
        f"    try:\n{read}\n        if {fits}:\n            return {{{made}}}\n"
        f"    except other:\n        pass\n    return steps(value)\n"
    )
    return compile(text, "<a mapping>", "exec")
