"""One form for schemas that mean the same, so that two agents who draft from them get one document.

Annotations that generators add by themselves (titles, `$schema`) go, references within the schema are written
out, lists whose order means nothing are sorted. What a schema accepts stays exactly what it was.
"""

from collections.abc import Callable
from typing import Any

_ONE = (
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_MANY = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_NAMED = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_NOISE = ("$comment", "$schema", "title")
# With any of these, a reference may mean something else once it is moved.
_ANCHORS = ("$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveRef", "id")
_ANNOTATIONS = frozenset({"default", "deprecated", "description", "examples", "readOnly", "writeOnly"})
_MAX_NODES = 4000


class _Entangled(Exception):
    """References that cannot be written out: they are recursive, too large, or conflict with what stands beside."""


def tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in its one form; a new object that shares nothing with the one given."""
    clean: dict[str, Any] = _clean(schema)
    if _count(clean, _ANCHORS):
        return clean
    try:
        written_out: dict[str, Any] = _Inliner(clean).run()
    except _Entangled:
        return clean
    return written_out


def resolve(root: dict[str, Any], reference: str) -> Any:
    """What a reference within `root` points at. Raises `KeyError` where that is nothing."""
    node: Any = root
    for token in reference.removeprefix("#").split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, dict) and key in node:
            node = node[key]
        else:
            raise KeyError(reference)
    return node


def map_subschemas(schema: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A copy of a schema with `change` applied to each schema directly below it."""
    made = dict(schema)
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, dict):
            made[key] = {name: change(child) for name, child in value.items()}
        elif key in _MANY and isinstance(value, list):
            made[key] = [change(child) for child in value]
        elif key in _ONE and isinstance(value, dict):
            made[key] = change(value)
    return made


def _clean(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = map_subschemas({key: value for key, value in schema.items() if key not in _NOISE}, _clean)
    required = made.get("required")
    if isinstance(required, list):
        made["required"] = sorted(set(required))
        if not required:
            del made["required"]
    return made


def _count(schema: Any, keys: tuple[str, ...]) -> int:
    """How many subschemas have one of `keys`."""
    if not isinstance(schema, dict):
        return 0
    found = int(any(isinstance(schema.get(key), str) for key in keys))

    def add(child: Any) -> Any:
        nonlocal found
        found += _count(child, keys)
        return child

    map_subschemas(schema, add)
    return found


class _Inliner:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._open: list[str] = []
        self._nodes = 0

    def run(self) -> dict[str, Any]:
        body = {key: value for key, value in self._root.items() if key not in ("$defs", "definitions")}
        made: dict[str, Any] = self._write_out(body)
        return made

    def _write_out(self, schema: Any) -> Any:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise _Entangled
        if not isinstance(schema, dict):
            return schema
        reference = schema.get("$ref")
        if reference is None:
            return map_subschemas(schema, self._write_out)
        if not isinstance(reference, str) or not reference.startswith("#/") or reference in self._open:
            raise _Entangled
        try:
            target = resolve(self._root, reference)
        except KeyError:
            raise _Entangled from None
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        if not isinstance(target, dict) or not beside.keys() <= _ANNOTATIONS:
            raise _Entangled
        self._open.append(reference)
        made = {**self._write_out(target), **beside}
        self._open.pop()
        return made
