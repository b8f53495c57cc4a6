"""The names that a handler finds: its builtins, and what the compiler calls on its behalf."""

from collections.abc import Callable
from typing import Any

from sandbox.inside import classes, facades, formats
from sandbox.inside.attributes import is_nameable, read_attribute
from sandbox.inside.classes import ERRORS, HandlerClass, ToolError

__all__ = ["BUILTINS", "ToolError"]


def _checked_name(name: Any) -> str:
    if type(name) is not str or name.startswith("_"):
        raise AttributeError("this attribute is not available here")
    return name


_NO_DEFAULT = object()


def _getattr(target: Any, name: Any, default: Any = _NO_DEFAULT) -> Any:
    try:
        return read_attribute(target, _checked_name(name))
    except AttributeError:
        if default is _NO_DEFAULT:
            raise
        return default


def _hasattr(target: Any, name: Any) -> bool:
    try:
        read_attribute(target, _checked_name(name))
    except AttributeError:
        return False
    return True


def _type(target: Any) -> type:
    kind = type(target)
    if is_nameable(kind) or type(kind) is HandlerClass:
        return kind
    raise TypeError("the type of this object is not available here")


def _print(*_values: Any, **_options: Any) -> None:
    """There is no console; the text goes nowhere."""


_PLAIN_BUILTINS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        abs, all, any, ascii, bin, bool, bytes, callable, chr, classmethod, dict, divmod, enumerate, filter, float,
        frozenset, hex, int, isinstance, issubclass, iter, len, list, map, max, min, next, oct, ord, pow, property,
        range, repr, reversed, round, set, slice, sorted, staticmethod, str, sum, tuple, zip,
    )
}  # fmt: skip

BUILTINS: dict[str, Any] = {
    **_PLAIN_BUILTINS,
    **ERRORS,
    "format": formats.format_value,
    "getattr": _getattr,
    "hasattr": _hasattr,
    "print": _print,
    "type": _type,
    "Ellipsis": Ellipsis,
    "NotImplemented": NotImplemented,
    # The names below are written by the compiler only; the language has no names of this form.
    "__build_class__": __build_class__,
    "__metaclass__": classes.make_class,
    "_class_name_of_": classes.class_name_of,
    "_exception_": Exception,
    "_format_": formats.format_field,
    "_getattr_": read_attribute,
    "_member_": facades.member,
    "_module_": facades.module,
    "_name_of_": classes.name_of,
    "_super_init_": classes.super_init,
    "_write_": classes.writable,
}
"""The handler's `__builtins__`: set explicitly, since CPython adds its own where there is none."""
