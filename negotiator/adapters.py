"""Rows of text, read into types and written again."""

from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")

_BUILT: Final[dict[type, TypeAdapter[Any]]] = {}


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """What reads and writes a type; built for its first row, which takes milliseconds, and not at import."""
    if kind not in _BUILT:
        _BUILT[kind] = TypeAdapter(kind)
    return _BUILT[kind]
