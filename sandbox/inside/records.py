"""Dataclasses for handlers: classes whose methods are closures of ours, with no source written and none run."""

from collections.abc import Callable, Iterator
from typing import Any

from sandbox.inside.classes import HandlerClass, is_own

_MISSING = object()
_OPTIONS = frozenset({"init", "repr", "eq", "order", "frozen", "slots", "kw_only", "match_args", "unsafe_hash"})
FIELDS = "__fields__"
"""Where the compiler leaves the annotated names of a class body, as pairs (as written, as spelled)."""
_RECORD = "__record__"


class Field:
    """What `field(...)` says of one field."""

    __slots__ = ("compare", "default", "factory", "init", "name", "repr", "spelled")

    def __init__(
        self,
        default: Any = _MISSING,
        factory: Any = _MISSING,
        *,
        init: Any = True,
        show: Any = True,
        compare: Any = True,
    ) -> None:
        self.name = self.spelled = ""
        self.default, self.factory = default, factory
        self.init, self.repr, self.compare = bool(init), bool(show), bool(compare)

    def value(self) -> Any:
        """What it is where nothing is given."""
        return self.default if self.factory is _MISSING else self.factory()


def field(
    *,
    default: Any = _MISSING,
    default_factory: Any = _MISSING,
    init: Any = True,
    repr: Any = True,  # noqa: A002 - its name in the standard library
    compare: Any = True,
    **_ignored: Any,
) -> Any:
    """As `dataclasses.field`."""
    return Field(default, default_factory, init=init, show=repr, compare=compare)


def dataclass(kind: Any = None, /, **options: Any) -> Any:
    """As `dataclasses.dataclass`.

    Raises:
        TypeError: Not a class of the handler's, an option that is unknown, or fields in an impossible order.
    """
    if unknown := options.keys() - _OPTIONS:
        raise TypeError(f"dataclass has no option {min(unknown)} here")
    if kind is None:
        return lambda later: dataclass(later, **options)
    if type(kind) is not HandlerClass:
        raise TypeError("dataclass decorates a class")
    fields = _fields(kind)
    _check_order(fields, keywords_only=bool(options.get("kw_only")))
    own = vars(kind)
    methods: dict[str, Any] = {"__init__": _initializer(fields, keywords_only=bool(options.get("kw_only")))}
    if options.get("repr", True):
        methods["__repr__"] = _repr_of(fields)
    compared = [item for item in fields if item.compare]
    if options.get("eq", True):
        methods |= {"__eq__": _comparison(compared, "eq"), "__hash__": None}
    if options.get("order"):
        methods |= {f"__{name}__": _comparison(compared, name) for name in ("lt", "le", "gt", "ge")}
    if options.get("frozen") or options.get("unsafe_hash"):
        methods["__hash__"] = lambda self: hash(_values(self, compared))
    for name, method in methods.items():
        if name not in own or (name == "__hash__" and own[name] is None):
            type.__setattr__(kind, name, method)
    type.__setattr__(kind, _RECORD, fields)
    type.__setattr__(kind, "__frozen__", bool(options.get("frozen")))
    return kind


def _fields(kind: Any) -> list[Field]:
    found: dict[str, Field] = {}
    for base in reversed(kind.__mro__[1:]):
        for item in vars(base).get(_RECORD, ()):
            found[item.name] = item
    for name, spelled in vars(kind).get(FIELDS, ()):
        given = vars(kind).get(spelled, _MISSING)
        item = given if type(given) is Field else Field(given)
        if type(item.default) in (list, dict, set):
            raise TypeError(f"mutable default for field {name}: use field(default_factory=...)")
        item.name, item.spelled = name, spelled
        if given is item:
            if item.default is _MISSING:
                type.__delattr__(kind, spelled)
            else:
                type.__setattr__(kind, spelled, item.default)
        found[name] = item
    return list(found.values())


def _check_order(fields: list[Field], *, keywords_only: bool) -> None:
    """Raises `TypeError` where a field without a default follows one that has one."""
    optional = False
    for item in fields:
        if item.init and not keywords_only:
            has_default = item.default is not _MISSING or item.factory is not _MISSING
            if optional and not has_default:
                raise TypeError(f"field {item.name} without a default follows one with a default")
            optional = has_default


def _initializer(fields: list[Field], *, keywords_only: bool) -> Callable[..., None]:
    places = [] if keywords_only else [item for item in fields if item.init]
    named = {name: item for item in fields if item.init for name in (item.name, item.spelled)}

    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > len(places):
            raise TypeError(f"{type(self).__name__} takes at most {len(places)} values")
        given = {item.name: value for item, value in zip(places, args, strict=False)}
        for name, value in kwargs.items():
            if name not in named or named[name].name in given:
                raise TypeError(f"{type(self).__name__} got an unexpected or repeated argument {name!r}")
            given[named[name].name] = value
        for item in fields:
            value = given[item.name] if item.name in given else item.value()
            if value is _MISSING:
                if item.init:
                    raise TypeError(f"{type(self).__name__} needs a value for {item.name}")
                continue
            object.__setattr__(self, item.spelled, value)
        after = getattr(type(self), "__post_init__", None)
        if after is not None:
            after(self)

    return initialize


def _values(record: Any, fields: list[Field]) -> tuple[Any, ...]:
    return tuple(getattr(record, item.spelled) for item in fields)


def _repr_of(fields: list[Field]) -> Callable[[Any], str]:
    def represent(self: Any) -> str:
        shown = ", ".join(f"{item.name}={getattr(self, item.spelled)!r}" for item in fields if item.repr)
        return f"{type(self).__name__}({shown})"

    return represent


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda one, two: one == two,
    "lt": lambda one, two: one < two,
    "le": lambda one, two: one <= two,
    "gt": lambda one, two: one > two,
    "ge": lambda one, two: one >= two,
}


def _comparison(fields: list[Field], name: str) -> Callable[[Any, Any], Any]:
    decide = _COMPARED[name]

    def compare(self: Any, other: Any) -> Any:
        if type(other) is not type(self):
            return NotImplemented
        return decide(_values(self, fields), _values(other, fields))

    return compare


def _record(target: Any) -> Iterator[Field]:
    fields = getattr(type(target), _RECORD, None) if is_own(target) else None
    if fields is None:
        raise TypeError("this is not an object of a dataclass")
    return iter(fields)


def is_dataclass(target: Any) -> bool:
    """As `dataclasses.is_dataclass`."""
    kind = target if type(target) is HandlerClass else type(target)
    return type(kind) is HandlerClass and hasattr(kind, _RECORD)


def asdict(record: Any) -> dict[str, Any]:
    """As `dataclasses.asdict`."""
    return {item.name: _plain(getattr(record, item.spelled), asdict) for item in _record(record)}


def astuple(record: Any) -> tuple[Any, ...]:
    """As `dataclasses.astuple`."""
    return tuple(_plain(getattr(record, item.spelled), astuple) for item in _record(record))


def _plain(value: Any, inner: Callable[[Any], Any]) -> Any:
    if is_dataclass(value) and type(value) is not HandlerClass:
        return inner(value)
    if type(value) in (list, tuple):
        return type(value)(_plain(item, inner) for item in value)
    if type(value) is dict:
        return {key: _plain(item, inner) for key, item in value.items()}
    return value


def replace(record: Any, /, **changes: Any) -> Any:
    """As `dataclasses.replace`."""
    kept = {item.name: getattr(record, item.spelled) for item in _record(record) if item.init}
    return type(record)(**kept | changes)


MEMBERS = {function.__name__: function for function in (asdict, astuple, dataclass, field, is_dataclass, replace)}
