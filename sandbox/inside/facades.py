"""What `import` gives a handler: named functions, types and constants, never a module.

No member reads a clock, a file, the environment, randomness or state that another call could have left.
"""

import base64
import binascii
import bisect
import calendar
import collections
import csv
import datetime as dt
import decimal
import fractions
import functools
import heapq
import html
import io
import itertools
import json
import math
import operator
import statistics
import string
import textwrap
import unicodedata
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.inside import patterns


class Facade:
    """A frozen stand-in for a module."""

    __slots__ = ("members", "name")

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        self.name = name
        self.members = members

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Annotation:
    """Stands for every name of `typing`: it may be subscripted, combined and ignored."""

    __slots__ = ()

    def __getitem__(self, item: Any) -> "Annotation":
        return self

    def __or__(self, other: Any) -> "Annotation":
        return self

    __ror__ = __or__

    def __repr__(self) -> str:
        return "<type>"


def _named(source: Any, names: str, **more: Any) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names.split()} | more


_JSON_OPTIONS = frozenset({"indent", "sort_keys", "ensure_ascii", "separators", "default", "allow_nan", "skipkeys"})


def _dumps(value: Any, **options: Any) -> str:
    if unknown := options.keys() - _JSON_OPTIONS:
        raise TypeError(f"json.dumps has no option {min(unknown)} here")
    return json.dumps(value, **options)


def _loads(text: Any, *, parse_float: Any = None, parse_int: Any = None) -> Any:
    if type(text) is not str and type(text) is not bytes:
        raise TypeError("json.loads reads text")
    return json.loads(text, parse_float=parse_float, parse_int=parse_int)


def _deepcopy(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _deepcopy(item) for key, item in value.items()}
    if kind in (list, tuple):
        return kind(_deepcopy(item) for item in value)
    if kind in (set, frozenset):
        return kind(value)
    return value


def _copy(value: Any) -> Any:
    return type(value)(value) if type(value) in (dict, list, set) else value


def _cast(_kind: Any, value: Any) -> Any:
    return value


def _type_variable(*_args: Any, **_options: Any) -> Annotation:
    return Annotation()


def _identity(value: Any) -> Any:
    return value


def _cache(*args: Any, **_options: Any) -> Any:
    # Calls are short and start fresh: nothing is worth keeping, and an unbounded cache would be.
    return args[0] if args and callable(args[0]) else _identity


def _bounded(function: Callable[..., Any], most: int) -> Callable[..., Any]:
    @functools.wraps(function)
    def bounded(*args: int) -> Any:
        if any(abs(arg) > most for arg in args):
            raise ValueError(f"{function.__name__} takes at most {most} here")
        return function(*args)

    return bounded


_TYPING = (
    "Any AnyStr Callable ClassVar Dict Final FrozenSet Generator Generic Iterable Iterator List Literal Mapping "
    "MutableMapping NoReturn Optional Sequence Set Tuple Type TypeAlias TypeVar Union"
)

FACADES: dict[str, Facade] = {
    name: Facade(name, members)
    for name, members in {
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
        "functools": {"reduce": functools.reduce, "lru_cache": _cache, "cache": _cache, "wraps": lambda _f: _identity},
        "heapq": _named(heapq, "heapify heappop heappush heappushpop heapreplace merge nlargest nsmallest"),
        "html": _named(html, "escape unescape"),
        "io": _named(io, "StringIO"),
        "itertools": _named(
            itertools,
            "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse "
            "groupby islice pairwise permutations product repeat starmap takewhile zip_longest",
        ),
        "json": {"dumps": _dumps, "loads": _loads, "JSONDecodeError": json.JSONDecodeError},
        "math": _named(
            math,
            "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees dist e erf erfc exp exp2 expm1 "
            "fabs floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm ldexp lgamma log "
            "log10 log1p log2 modf nan nextafter pi pow prod radians remainder sin sinh sqrt tan tanh tau trunc ulp",
            factorial=_bounded(math.factorial, 5000),
            comb=_bounded(math.comb, 5000),
            perm=_bounded(math.perm, 5000),
        ),
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
            string, "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits punctuation whitespace"
        ),
        "textwrap": _named(textwrap, "dedent fill indent shorten wrap"),
        "typing": dict.fromkeys(_TYPING.split(), Annotation())
        | {"cast": _cast, "TYPE_CHECKING": False, "TypeVar": _type_variable},
        "collections.abc": dict.fromkeys(("Callable", "Iterable", "Iterator", "Mapping", "Sequence"), Annotation()),
        "unicodedata": _named(unicodedata, "bidirectional category combining east_asian_width name normalize numeric"),
        "urllib.parse": _named(urllib.parse, "quote quote_plus unquote unquote_plus urlencode parse_qs parse_qsl"),
    }.items()
}


def module(name: str) -> Facade:
    """What `import name` compiles to."""
    return FACADES[name]


def member(name: str, attribute: str) -> Any:
    """What `from name import attribute` compiles to."""
    return FACADES[name].members[attribute]
