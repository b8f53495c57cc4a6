"""Whether what a model wrote holds only values that it was given, so that no words among them can have put any there.

Pure. Whole values are compared: a text inside of a longer one is what a model has picked out of words.
"""

import re
from collections.abc import Iterator
from typing import Final

from negotiator.jsonvalue import JsonValue

_QUOTED: Final = re.compile(r'"([^"\n]{1,64})"|`([^`\n]{1,64})`')


def carries(source: JsonValue, made: JsonValue, names: str, *, quotes: bool = False) -> bool:
    """Whether each text, number and truth value of `made` is one of `source`'s, as it stands there.

    A number and the text that spells it are the same; null and what is empty say nothing.

    Args:
        source: What the model was given.
        made: What it wrote.
        names: A text, of a document or a schema, in which the names of members stand that `source` has not.
        quotes: Whether texts may stand in `made` that `names` has between quotes or backticks: a document's own words.
    """
    held = {_spelt(each) for each in _values(source)}
    members = set(_members(source))
    if quotes:
        held.update(one or other for one, other in _QUOTED.findall(names))
    if not all(_spelt(each) in held for each in _values(made) if each not in (None, "")):
        return False
    return all(name in members or name in names for name in _members(made))


def _values(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _values(inner)
    else:
        yield value


def _members(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _members(inner)


def _spelt(value: JsonValue) -> str | bool | None:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
