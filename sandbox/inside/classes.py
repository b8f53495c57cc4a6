"""The classes that a handler may define, the errors that it may name, and what stands for its type hints."""

import types
from typing import Any


class ToolError(Exception):
    """A tool of the host says that it failed; the handler may catch it."""


_ERRORS = [
    ArithmeticError,
    AssertionError,
    AttributeError,
    ConnectionError,
    EOFError,
    Exception,
    FileNotFoundError,
    FloatingPointError,
    ImportError,
    IndexError,
    KeyError,
    LookupError,
    MemoryError,
    NameError,
    NotImplementedError,
    OSError,
    OverflowError,
    PermissionError,
    RecursionError,
    RuntimeError,
    StopIteration,
    TimeoutError,
    ToolError,
    TypeError,
    UnicodeDecodeError,
    UnicodeEncodeError,
    UnicodeError,
    UserWarning,
    ValueError,
    Warning,
    ZeroDivisionError,
]
ERRORS: dict[str, type[Exception]] = {error.__name__: error for error in _ERRORS}


class Annotation:
    """Stands for a name of `typing`: it may be subscripted, combined and ignored."""

    __slots__ = ()

    def __getitem__(self, item: Any) -> "Annotation":
        return self

    def __or__(self, other: Any) -> "Annotation":
        return self

    __ror__ = __or__

    def __repr__(self) -> str:
        return "<type>"


TYPED_DICT = Annotation()
"""The base of classes that describe a dict."""


class HandlerClass(type):
    """The type of every class that a handler defines."""


def make_class(name: str, bases: tuple[Any, ...], namespace: dict[str, Any]) -> type:
    """What a class statement calls: bases are the handler's own classes and errors, or type hints."""
    if any(base is TYPED_DICT for base in bases):
        # It describes a dict, and makes one when it is called.
        return dict
    own = tuple(base for base in bases if type(base) is not Annotation)
    for base in own:
        if type(base) is not HandlerClass and base not in ERRORS.values():
            raise TypeError("a class here derives from nothing, from another class here, or from an error")
    return HandlerClass(name, own, namespace)


def is_own(target: Any) -> bool:
    """True for an object of a class that the handler defined."""
    return type(type(target)) is HandlerClass


def writable(target: Any) -> Any:
    """What an attribute is assigned to or deleted from: an object or class of the handler's own."""
    if is_own(target):
        if getattr(type(target), "__frozen__", False):
            raise AttributeError("this dataclass is frozen: its attributes cannot be assigned")
        return target
    if type(target) is HandlerClass:
        return target
    raise TypeError(f"attributes of a {type(target).__name__} cannot be assigned here")


def super_init(own: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
    """What `super().__init__(...)` compiles to."""
    writable(instance)
    super(own, instance).__init__(*args, **kwargs)


def name_of(target: Any) -> str:
    """What `target.__name__` compiles to: the name of a class or of a function."""
    if isinstance(target, (type, types.FunctionType)):
        return target.__name__
    raise AttributeError(f"a {type(target).__name__} has no attribute '__name__' here")


def class_name_of(target: Any) -> str:
    """What `target.__class__.__name__` compiles to."""
    return type(target).__name__
