"""What a function behind a framework's tool returns, where it says so."""

import typing
from typing import Any

from negotiator.errors import UsageError
from negotiator.schemas import Schema


def returned_by(function: Any) -> Schema | None:
    """The schema of a function's return annotation; None where there is no function, annotation or schema."""
    try:
        hint = typing.get_type_hints(function, include_extras=True).get("return")
        return None if hint is None else Schema.of(hint, mode="serialization")
    except (NameError, TypeError, UsageError):
        return None
