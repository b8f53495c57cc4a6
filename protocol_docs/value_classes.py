"""The classes that a schema divides its values into: each optional member there and not, each kind of value that may
stand in a place, each enum value, lists with and without items.

What was seen to be right for one value of a class says something about the others of that class, and nothing about
a class that was never seen.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from protocol_docs import strict_json
from protocol_docs.examples import merged
from protocol_docs.tidy import resolve

ValueClass: TypeAlias = tuple[str, str]
"""A place as a JSON Pointer, with `/-` for the items of a list; and what stands there: `absent`, a kind of value, `=`
and a value's JSON, `empty` or `filled`."""

MAX_CLASSES: Final = 2000
"""Classes of one schema; more are not told apart."""
_DEPTH: Final = 10
_MAX_BRANCHES: Final = 32
_MAX_STEPS: Final = 20_000
"""Subschemas that are looked at: references can make few characters stand for any number of them."""
_ABSENT: Final = object()
_KINDS: Final = {
    "array": "list",
    "boolean": "boolean",
    "integer": "number",
    "null": "null",
    "number": "number",
    "object": "object",
    "string": "text",
}


def classes_in(schema: dict[str, Any]) -> frozenset[ValueClass]:
    """All classes of values that `schema` has, up to `MAX_CLASSES`."""
    reader = _Reader(schema)
    reader.add_all(reader.branches(schema), "", 0)
    return frozenset(reader.found)


def classes_of(schema: dict[str, Any], value: Any) -> frozenset[ValueClass]:
    """The classes of `schema` that `value` belongs to. Places that the schema does not name have none."""
    reader = _Reader(schema)
    reader.add_of(reader.branches(schema), value, "", 0)
    return frozenset(reader.found)


def variants(schema: dict[str, Any], value: Any) -> Iterator[Any]:
    """Copies of `value`, each with another class of `schema` in one place: another of the values that may stand there,
    nothing, or a list without items; of a list's items in the first, with the others and without. Not all of them fit
    the schema. Between examples that change in several places at once, two fields may go hand in hand.
    """
    for place, what in sorted(classes_in(schema)):
        steps = [step.replace("~1", "/").replace("~0", "~") for step in place.split("/")[1:]]
        if what.startswith("= "):
            yield from _put(value, steps, json.loads(what[2:]))
        elif what in ("absent", "empty"):
            yield from _put(value, steps, [] if what == "empty" else _ABSENT)


def _put(value: Any, steps: list[str], new: Any) -> Iterator[Any]:
    """The value with `new` at a place, where there is such a place and it holds something else."""
    if not steps:
        if new is not _ABSENT and strict_json.canonical(new) != strict_json.canonical(value):
            yield new
        return
    step, *below = steps
    if isinstance(value, dict) and step in value:
        if not below and new is _ABSENT:
            yield {name: item for name, item in value.items() if name != step}
        else:
            yield from ({**value, step: changed} for changed in _put(value[step], below, new))
    elif isinstance(value, list) and value and step == "-":
        for changed in _put(value[0], below, new):
            yield [changed]
            yield [changed, *value[1:]]


class _Reader:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._steps = 0
        self.found: set[ValueClass] = set()

    def add_all(self, branches: list[dict[str, Any]], path: str, depth: int) -> None:
        if depth > _DEPTH or len(self.found) > MAX_CLASSES:
            return
        for branch in branches:
            values = _values(branch)
            for value in values:
                self.found |= {(path, _kind(value)), (path, f"= {strict_json.canonical(value)}")}
            if not values:
                self.found |= {(path, kind) for kind in _kinds(branch)}
        objects = [branch for branch in branches if "object" in _kinds(branch) and not _values(branch)]
        for name, parts in self._members(objects).items():
            here = f"{path}/{_step(name)}"
            if not all(name in branch.get("required", ()) for branch in objects):
                self.found.add((here, "absent"))
            self.add_all(parts, here, depth + 1)
        lists = [branch for branch in branches if "list" in _kinds(branch) and not _values(branch)]
        if any(not branch.get("minItems") for branch in lists):
            self.found.add((path, "empty"))
        if any(branch.get("maxItems") != 0 for branch in lists):
            self.found.add((path, "filled"))
            self.add_all(self._items(lists), f"{path}/-", depth + 1)

    def add_of(self, branches: list[dict[str, Any]], value: Any, path: str, depth: int) -> None:
        if depth > _DEPTH or not branches:
            return
        kind = _kind(value)
        self.found.add((path, kind))
        fitting = [branch for branch in branches if kind in _kinds(branch)]
        if any(_is_among(value, _values(branch)) for branch in fitting):
            self.found.add((path, f"= {strict_json.canonical(value)}"))
        if isinstance(value, dict):
            for name, parts in self._members(fitting).items():
                here = f"{path}/{_step(name)}"
                if name in value:
                    self.add_of(parts, value[name], here, depth + 1)
                else:
                    self.found.add((here, "absent"))
        elif isinstance(value, list):
            self.found.add((path, "filled" if value else "empty"))
            inside = self._items(fitting)
            for item in value:
                self.add_of(inside, item, f"{path}/-", depth + 1)

    def branches(self, schema: Any, depth: int = 0) -> list[dict[str, Any]]:
        """The schemas of which a value fits one, with what they refer to written into them."""
        self._steps += 1
        if not isinstance(schema, dict) or depth > _DEPTH or self._steps > _MAX_STEPS:
            return []
        plain: Any = {word: part for word, part in schema.items() if word not in ("$ref", "allOf", "anyOf", "oneOf")}
        if "$ref" in schema:
            try:
                plain = merged(resolve(self._root, str(schema["$ref"])), plain)
            except KeyError:
                return []
        for part in schema.get("allOf", ()):
            plain = merged(plain, part)
        if not isinstance(plain, dict):
            return []
        choices = [part for word in ("anyOf", "oneOf") for part in schema.get(word, ())]
        if choices:
            parts = [merged(plain, part) for part in choices[:_MAX_BRANCHES]]
            found = [branch for part in parts for branch in self.branches(part, depth + 1)]
            return found[:_MAX_BRANCHES]
        if any(word in plain for word in ("$ref", "allOf", "anyOf", "oneOf")):
            return self.branches(plain, depth + 1)
        return [plain]

    def _members(self, branches: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for branch in branches:
            for name, part in branch.get("properties", {}).items():
                found.setdefault(name, []).extend(self.branches(part))
        return found

    def _items(self, branches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        parts = [part for branch in branches for part in (branch.get("items"), *branch.get("prefixItems", ()))]
        return [each for part in parts for each in self.branches(part)]


def _is_among(value: Any, values: list[Any]) -> bool:
    # JSON's true is not 1, though Python's is.
    return any(_kind(value) == _kind(each) and value == each for each in values)


def _values(branch: dict[str, Any]) -> list[Any]:
    if "const" in branch:
        return [branch["const"]]
    values = branch.get("enum")
    if isinstance(values, list):
        return values
    return [True, False] if branch.get("type") == "boolean" else []


def _kinds(branch: dict[str, Any]) -> frozenset[str]:
    if "const" in branch or "enum" in branch:
        return frozenset(_kind(value) for value in _values(branch))
    named = branch.get("type")
    if named is None:
        if "properties" in branch:
            return frozenset(("object",))
        if "items" in branch or "prefixItems" in branch:
            return frozenset(("list",))
        return frozenset(_KINDS.values())
    return frozenset(_KINDS[each] for each in (named if isinstance(named, list) else [named]) if each in _KINDS)


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return "object"


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
