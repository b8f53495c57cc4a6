"""What `import` gives a handler: named functions, types and constants, never a module.

No member reads a clock, a file, the environment, randomness or state that another call could have left.
"""

import base64
import binascii
import bisect
import calendar
import codecs
import collections
import csv
import datetime as dt
import decimal
import encodings.aliases
import fractions
import functools
import heapq
import html
import io
import itertools
import json
import math
import numbers
import operator
import statistics
import string
import textwrap
import unicodedata
import urllib.parse
from collections import abc
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.inside import patterns, records
from sandbox.inside.classes import TYPED_DICT, Annotation, is_own


class Facade:
    """A frozen stand-in for a module."""

    __slots__ = ("members", "name")

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        self.name = name
        self.members = members

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _named(source: Any, names: str, **more: Any) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names.split()} | more


_CODECS = frozenset({"utf8", "ascii", "latin1", "iso88591", "utf16", "utf16le", "utf16be", "utf32"})
_HANDLERS = frozenset({"strict", "ignore", "replace", "backslashreplace", "xmlcharrefreplace"})


def codec(name: Any, errors: Any) -> tuple[str, str]:
    """Both as they are, where they are among the encodings and error handlers that there are; else `LookupError`."""
    if type(name) is not str or name.lower().replace("-", "").replace("_", "") not in _CODECS:
        raise LookupError("the encodings here are utf-8, ascii, latin-1, utf-16 and utf-32")
    if type(errors) is not str or errors not in _HANDLERS:
        raise LookupError("the error handlers here are strict, ignore, replace and backslashreplace")
    return name, errors


def close_codecs() -> None:
    """Make this process forget every encoding but those few, so that naming another one loads nothing.

    `str(data, name)` takes any name, and no guard stands before a type. Only for a process of the handler's own.
    """
    kept = {"ascii", "latin_1", "utf_8", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le"}
    names = {name: name for name in kept} | {name: of for name, of in encodings.aliases.aliases.items() if of in kept}
    known = {name: codecs.lookup(of) for name, of in names.items()}
    codecs.unregister(encodings.search_function)
    codecs.register(known.get)


# The functions of urllib.parse without the encodings that they would load by name: all text is UTF-8.
def _quote(text: Any, safe: Any = "/") -> str:
    return urllib.parse.quote(text, safe)


def _quote_plus(text: Any, safe: Any = "") -> str:
    return urllib.parse.quote_plus(text, safe)


def _unquote(text: Any) -> str:
    return urllib.parse.unquote(text)


def _unquote_plus(text: Any) -> str:
    return urllib.parse.unquote_plus(text)


def _urlencode(query: Any, doseq: Any = False) -> str:  # noqa: FBT002 - as in the standard library
    return urllib.parse.urlencode(query, bool(doseq))


def _parse_qs(text: Any, keep_blank_values: Any = False) -> dict[str, list[str]]:  # noqa: FBT002
    return urllib.parse.parse_qs(text, bool(keep_blank_values))


def _parse_qsl(text: Any, keep_blank_values: Any = False) -> list[tuple[str, str]]:  # noqa: FBT002
    return urllib.parse.parse_qsl(text, bool(keep_blank_values))


_JSON_OPTIONS = frozenset({"indent", "sort_keys", "ensure_ascii", "separators", "default", "allow_nan", "skipkeys"})


def _dumps(value: Any, **options: Any) -> str:
    if unknown := options.keys() - _JSON_OPTIONS:
        raise TypeError(f"json.dumps has no option {min(unknown)} here")
    return json.dumps(value, **options)


_READING_OPTIONS = frozenset({"parse_float", "parse_int", "object_hook", "object_pairs_hook", "strict"})


def _loads(text: Any, **options: Any) -> Any:
    if type(text) is not str and type(text) is not bytes:
        raise TypeError("json.loads reads text")
    if unknown := options.keys() - _READING_OPTIONS:
        raise TypeError(f"json.loads has no option {min(unknown)} here")
    return json.loads(text, **options)


_COPIED_BY_METHOD = frozenset({dict, list, set, collections.Counter, collections.defaultdict, collections.OrderedDict})


def _deepcopy(value: Any) -> Any:
    kind = type(value)
    if kind in (tuple, list, set, frozenset, collections.deque):
        return kind(_deepcopy(item) for item in value)
    copied = _copy(value)
    if kind in _COPIED_BY_METHOD:
        for key in copied:
            copied[key] = _deepcopy(copied[key])
    elif is_own(value):
        for name, held in vars(copied).items():
            object.__setattr__(copied, name, _deepcopy(held))
    return copied


def _copy(value: Any) -> Any:
    if type(value) in _COPIED_BY_METHOD or type(value) is collections.deque:
        return value.copy()
    if is_own(value) and not isinstance(value, Exception):
        copied = object.__new__(type(value))
        for name, held in vars(value).items():
            object.__setattr__(copied, name, held)
        return copied
    return value


def _cast(_kind: Any, value: Any) -> Any:
    return value


def _type_variable(*_args: Any, **_options: Any) -> Annotation:
    return Annotation()


def _identity(value: Any) -> Any:
    return value


def _new_type(_name: Any, kind: Any) -> Any:
    return kind


def _wraps(_wrapped: Any) -> Callable[[Any], Any]:
    return _identity


def _bounded(function: Callable[..., Any], most: int) -> Callable[..., Any]:
    @functools.wraps(function)
    def bounded(*args: int) -> Any:
        if any(abs(arg) > most for arg in args):
            raise ValueError(f"{function.__name__} takes at most {most} here")
        return function(*args)

    return bounded


_HINTS = (
    "AbstractSet Annotated Any AnyStr ClassVar Final Generic Literal LiteralString Never NoReturn NotRequired Optional "
    "ParamSpec Protocol Required Self SupportsFloat SupportsIndex SupportsInt Text Type TypeAlias Union"
)
_ABSTRACT = (
    "Callable Collection Container Generator Hashable ItemsView Iterable Iterator KeysView Mapping MutableMapping "
    "MutableSequence MutableSet Reversible Sequence Sized ValuesView"
)
_TYPING: dict[str, Any] = {
    **dict.fromkeys(_HINTS.split(), Annotation()),
    **_named(abc, _ABSTRACT),
    "Counter": collections.Counter,
    "DefaultDict": collections.defaultdict,
    "Deque": collections.deque,
    "Dict": dict,
    "FrozenSet": frozenset,
    "List": list,
    "Match": Annotation(),
    "NewType": _new_type,
    "OrderedDict": collections.OrderedDict,
    "Pattern": Annotation(),
    "Set": set,
    "TYPE_CHECKING": False,
    "Tuple": tuple,
    "TypeVar": _type_variable,
    "TypedDict": TYPED_DICT,
    "cast": _cast,
    "final": _identity,
    "overload": _identity,
}

FACADES: dict[str, Facade] = {
    name: Facade(name, members)
    for name, members in {
        "abc": {"ABC": Annotation(), "abstractmethod": _identity},
        "base64": _named(
            base64,
            "b16decode b16encode b32decode b32encode b64decode b64encode standard_b64decode standard_b64encode "
            "urlsafe_b64decode urlsafe_b64encode",
        ),
        "binascii": _named(binascii, "hexlify unhexlify crc32 Error"),
        "bisect": _named(bisect, "bisect bisect_left bisect_right insort insort_left insort_right"),
        "calendar": _named(
            calendar,
            "isleap leapdays monthrange weekday timegm",
            month_name=tuple(calendar.month_name),
            month_abbr=tuple(calendar.month_abbr),
            day_name=tuple(calendar.day_name),
            day_abbr=tuple(calendar.day_abbr),
        ),
        "collections": _named(collections, "Counter OrderedDict defaultdict deque"),
        "copy": {"copy": _copy, "deepcopy": _deepcopy},
        "csv": _named(csv, "reader writer DictReader Error QUOTE_ALL QUOTE_MINIMAL QUOTE_NONE QUOTE_NONNUMERIC"),
        "datetime": _named(dt, "date datetime time timedelta timezone MINYEAR MAXYEAR", UTC=dt.UTC),
        "decimal": _named(
            decimal,
            "Decimal DecimalException InvalidOperation DivisionByZero ROUND_CEILING ROUND_DOWN ROUND_FLOOR "
            "ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP ROUND_05UP",
        ),
        "fractions": _named(fractions, "Fraction"),
        "dataclasses": records.MEMBERS,
        "functools": _named(functools, "cache cmp_to_key lru_cache partial reduce", wraps=_wraps),
        "heapq": _named(heapq, "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest"),
        "html": _named(html, "escape unescape"),
        "io": _named(io, "StringIO"),
        "itertools": _named(
            itertools,
            "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse "
            "groupby islice pairwise permutations product repeat starmap takewhile zip_longest",
        ),
        "json": {
            "dumps": _dumps,
            "loads": _loads,
            "JSONDecodeError": json.JSONDecodeError,
            "decoder": Facade("json.decoder", {"JSONDecodeError": json.JSONDecodeError}),
        },
        "math": _named(
            math,
            "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees dist e erf erfc exp exp2 expm1 "
            "fabs floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp lgamma log "
            "log10 log1p log2 modf nan nextafter pi pow prod radians remainder sin sinh sqrt tan tanh tau trunc ulp",
            factorial=_bounded(math.factorial, 5000),
            comb=_bounded(math.comb, 5000),
            perm=_bounded(math.perm, 5000),
        ),
        "numbers": _named(numbers, "Complex Integral Number Rational Real"),
        "operator": _named(
            operator,
            "add and_ concat contains countOf eq floordiv ge gt indexOf itemgetter le lt mod mul ne neg not_ or_ pos "
            "sub truediv truth xor",
        ),
        "re": patterns.MEMBERS,
        "statistics": _named(
            statistics,
            "StatisticsError correlation fmean geometric_mean harmonic_mean mean median median_high median_low mode "
            "multimode pstdev pvariance quantiles stdev variance",
        ),
        "string": _named(
            string,
            "ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits octdigits printable punctuation "
            "whitespace",
        ),
        "textwrap": _named(textwrap, "dedent fill indent shorten wrap"),
        "typing": _TYPING,
        "typing_extensions": _TYPING,
        "collections.abc": _named(abc, _ABSTRACT, Set=abc.Set),
        "unicodedata": _named(unicodedata, "bidirectional category combining east_asian_width name normalize numeric"),
        "urllib.parse": _named(
            urllib.parse,
            "urljoin urlparse urlsplit urlunparse urlunsplit",
            **{
                function.__name__[1:]: function
                for function in (_quote, _quote_plus, _unquote, _unquote_plus, _urlencode, _parse_qs, _parse_qsl)
            },
        ),
    }.items()
}


# A package is what `import package.module` binds.
FACADES["urllib"] = Facade("urllib", {"parse": FACADES["urllib.parse"]})
FACADES["collections"] = Facade("collections", {**FACADES["collections"].members, "abc": FACADES["collections.abc"]})


def module(name: str) -> Facade:
    """What `import name` compiles to."""
    return FACADES[name]


def member(name: str, attribute: str) -> Any:
    """What `from name import attribute` compiles to."""
    return FACADES[name].members[attribute]
