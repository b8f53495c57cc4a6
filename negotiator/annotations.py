"""Annotations as pydantic reads them on each Python."""

import sys
import typing
from typing import Any, Literal, NotRequired, Required, get_args, get_origin

from typing_extensions import TypedDict, is_typeddict


def readable(annotation: Any) -> Any:
    """The annotation, with `typing.TypedDict`s made readable for pydantic, which before 3.12 refuses them."""
    if sys.version_info >= (3, 12):
        return annotation
    if is_typeddict(annotation):
        if annotation.__module__ == "typing_extensions" or type(annotation).__module__ == "typing_extensions":
            return annotation
        hints = typing.get_type_hints(annotation, include_extras=True)
        fields = {
            name: (Required if name in annotation.__required_keys__ else NotRequired)[readable(hint)]
            for name, hint in ((name, _bare(hint)) for name, hint in hints.items())
        }
        return typed_dict(annotation.__name__, fields)
    arguments = get_args(annotation)
    if not arguments or get_origin(annotation) is Literal:
        return annotation
    replaced = tuple(readable(item) for item in arguments)
    if all(new is old for new, old in zip(replaced, arguments, strict=True)):
        return annotation
    if hasattr(annotation, "copy_with"):
        return annotation.copy_with(replaced)
    origin: Any = get_origin(annotation)
    return typing.Union[replaced] if origin is type(int | str) else origin[replaced]  # noqa: UP007


def typed_dict(name: str, fields: dict[str, Any]) -> Any:
    """A `TypedDict` whose fields are known only now."""
    make: Any = TypedDict  # a checker wants the name and the fields written out
    return make(name, fields)


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint
