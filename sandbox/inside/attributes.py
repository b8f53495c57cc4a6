"""Which attributes may be read, of which exact type.

An attribute is read only where the exact type of the object, not a base class, allows exactly this name.
Objects of any other type have no attributes at all: functions, generators, frames, exceptions' tracebacks,
bound methods, iterators.
"""

import csv
import datetime as dt
import decimal
import fractions
import io
import itertools
import re
import types
import urllib.parse
from collections import Counter, OrderedDict, defaultdict, deque
from json import JSONDecodeError
from typing import Any, NoReturn

from sandbox.inside import formats, patterns
from sandbox.inside.classes import ERRORS, Annotation, HandlerClass
from sandbox.inside.facades import Facade, codec


def _encode(text: str, encoding: Any = "utf-8", errors: Any = "strict") -> bytes:
    return text.encode(*codec(encoding, errors))


def _decode(data: bytes, encoding: Any = "utf-8", errors: Any = "strict") -> str:
    return data.decode(*codec(encoding, errors))


def _strftime(moment: Any, template: Any) -> str:
    return formats.format_value(moment, template)


def _timestamp(moment: dt.datetime) -> float:
    # A handler has no local time zone, so that a routine means the same on every machine.
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _astimezone(moment: dt.datetime, tz: Any = None) -> dt.datetime:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return aware.astimezone(tz or dt.UTC)


def _fromtimestamp(seconds: float, tz: Any = None) -> dt.datetime:
    moment = dt.datetime.fromtimestamp(seconds, tz or dt.UTC)
    return moment if tz else moment.replace(tzinfo=None)


def _strptime(text: str, template: str) -> dt.datetime:
    if len(template) > formats.MAX_SPEC or len(text) > formats.MAX_SPEC:
        raise ValueError("strptime takes at most 200 characters here")
    return dt.datetime.strptime(text, template)  # noqa: DTZ007 - as the handler asked


def _no_clock(*_args: Any) -> NoReturn:
    raise RuntimeError("a handler has no clock: take the time from the data or from a tool")


def _names(words: str, **replaced: Any) -> dict[str, Any]:
    return dict.fromkeys(words.split()) | replaced


_DICT = _names("clear copy get items keys pop popitem setdefault update values")
_SET = _names("copy difference intersection isdisjoint issubset issuperset symmetric_difference union")
_NUMBER = "as_integer_ratio conjugate imag real"
_DATE = "ctime day isocalendar isoformat isoweekday month replace timetuple toordinal weekday year"
_URL = "count fragment geturl hostname index netloc password path port query scheme username"
_MATCH = "end endpos expand group groupdict groups lastgroup lastindex pos span start string"
_TIME = "dst fold hour isoformat microsecond minute replace second tzinfo tzname utcoffset"

INSTANCE: dict[type, dict[str, Any]] = {
    str: _names(
        "capitalize casefold center count endswith expandtabs find index isalnum isalpha isascii isdecimal isdigit "
        "isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition "
        "removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith "
        "strip swapcase title translate upper zfill",
        encode=_encode,
        format=formats.format_text,
        format_map=formats.format_mapping,
    ),
    bytes: _names(
        "center count endswith find hex index isalnum isalpha isascii isdigit islower isspace isupper join ljust lower "
        "lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines "
        "startswith strip title translate upper zfill",
        decode=_decode,
    ),
    int: _names(f"{_NUMBER} bit_count bit_length denominator numerator to_bytes"),
    bool: _names(f"{_NUMBER} bit_length"),
    float: _names(f"{_NUMBER} hex is_integer"),
    list: _names("append clear copy count extend index insert pop remove reverse sort"),
    tuple: _names("count index"),
    dict: _DICT,
    defaultdict: _DICT,
    OrderedDict: _DICT | _names("move_to_end"),
    Counter: _DICT | _names("elements most_common subtract total"),
    deque: _names(
        "append appendleft clear copy count extend extendleft index insert pop popleft remove reverse rotate"
    ),
    set: _SET | _names("add clear difference_update discard intersection_update pop remove update"),
    frozenset: _SET,
    slice: _names("start stop step"),
    range: _names("count index start step stop"),
    dt.datetime: _names(
        f"{_DATE} {_TIME} date time timetz utctimetuple",
        strftime=_strftime,
        timestamp=_timestamp,
        astimezone=_astimezone,
    ),
    dt.date: _names(_DATE, strftime=_strftime),
    dt.time: _names(_TIME, strftime=_strftime),
    dt.timedelta: _names("days microseconds seconds total_seconds"),
    dt.timezone: _names("tzname utcoffset"),
    type(dt.date.min.isocalendar()): _names("week weekday year"),
    decimal.Decimal: _names(
        "adjusted as_integer_ratio as_tuple compare copy_abs copy_negate copy_sign exp is_finite is_infinite is_nan is_signed "
        "is_zero ln log10 max min normalize quantize same_quantum scaleb sqrt to_eng_string to_integral to_integral_value"
    ),
    type(decimal.Decimal(0).as_tuple()): _names("count digits exponent index sign"),
    fractions.Fraction: _names("denominator limit_denominator numerator"),
    io.StringIO: _names("close getvalue read readline readlines seek tell truncate write writelines"),
    type(csv.reader(())): _names("line_num"),
    type(csv.writer(io.StringIO())): _names("writerow writerows"),
    csv.DictReader: _names("fieldnames line_num"),
    patterns.Pattern: _names("findall finditer flags fullmatch groupindex groups match pattern search split sub subn"),
    re.Match: _names(_MATCH),
    patterns.Match: _names(f"{_MATCH} re"),
    type(urllib.parse.urlsplit("")): _names(_URL),
    type(urllib.parse.urlparse("")): _names(f"{_URL} params"),
    types.MappingProxyType: _names("get items keys values"),
    type({}.keys()): _names("isdisjoint"),
    type({}.items()): _names("isdisjoint"),
}

# Read off the class itself, as in `str.lower`, `dict.fromkeys` and `datetime.strptime`.
ON_CLASS: dict[type, dict[str, Any]] = {
    str: INSTANCE[str] | _names("maketrans"),
    bytes: INSTANCE[bytes] | _names("fromhex"),
    int: _names("bit_length from_bytes"),
    float: _names("fromhex is_integer"),
    dict: _names("fromkeys get items keys values"),
    set: _SET,
    frozenset: _SET,
    OrderedDict: _names("fromkeys"),
    dt.datetime: _names(
        "combine fromisocalendar fromisoformat fromordinal max min date time isoformat",
        strptime=_strptime,
        fromtimestamp=_fromtimestamp,
        utcfromtimestamp=_fromtimestamp,
        now=_no_clock,
        utcnow=_no_clock,
        today=_no_clock,
        strftime=_strftime,
    ),
    dt.date: _names("fromisocalendar fromisoformat fromordinal isoformat max min", today=_no_clock, strftime=_strftime),
    dt.time: _names("fromisoformat isoformat max min", strftime=_strftime),
    dt.timedelta: _names("max min resolution total_seconds"),
    dt.timezone: _names("utc"),
    decimal.Decimal: _names("from_float"),
    fractions.Fraction: _names("from_decimal from_float"),
    itertools.chain: _names("from_iterable"),
}

_ERROR_ATTRIBUTES = frozenset({"args"})
_JSON_ERROR_ATTRIBUTES = frozenset({"args", "colno", "doc", "lineno", "msg", "pos"})

_NAMEABLE = frozenset({*INSTANCE, *ON_CLASS, *ERRORS.values(), type(None), JSONDecodeError, re.error})


def is_nameable(kind: type) -> bool:
    """True where `type(...)` may hand this class out."""
    return kind in _NAMEABLE


def read_attribute(target: Any, name: str) -> Any:  # noqa: C901, PLR0912 - one branch a kind of object
    """What `target.name` compiles to.

    Raises:
        AttributeError: The exact type of `target` does not allow `name`.
    """
    kind = type(target)
    allowed = INSTANCE.get(kind)
    if allowed is not None:
        if name in allowed:
            replaced = allowed[name]
            return getattr(target, name) if replaced is None else types.MethodType(replaced, target)
    elif kind is Facade:
        if name in target.members:
            return target.members[name]
    elif kind is type:
        allowed = ON_CLASS.get(target)
        if allowed is not None and name in allowed:
            replaced = allowed[name]
            return getattr(target, name) if replaced is None else replaced
    elif kind is HandlerClass:
        if _defines(target, name):
            return getattr(target, name)
    elif type(kind) is HandlerClass:
        if (
            name in object.__getattribute__(target, "__dict__")
            or _defines(kind, name)
            or (name == "args" and issubclass(kind, Exception))
        ):
            return getattr(target, name)
    elif issubclass(kind, Exception):
        if name in (_JSON_ERROR_ATTRIBUTES if kind is JSONDecodeError else _ERROR_ATTRIBUTES):
            return getattr(target, name)
    elif kind is property and name == "setter":
        return target.setter
    elif kind is Annotation:
        return target
    raise AttributeError(f"{_describe(target)} has no attribute {name!r} here{_hint(target, name)}")


_INSTEAD = {
    (dt.datetime, "strptime"): "it is read off the class: datetime.strptime(text, format)",
    (decimal.Decimal, "round"): "use round(value, digits) or quantize",
    (dict, "has_key"): "use: key in the_dict",
    (dict, "iteritems"): "use items()",
    (dict, "sort"): "use sorted(...)",
    (dict, "append"): "it is a dict, not a list",
    (list, "get"): "it is a list: use an index",
    (list, "items"): "it is a list: use enumerate",
    (list, "split"): "it is a list, not text",
    (list, "strip"): "it is a list, not text",
    (str, "get"): "it is text, not a dict: json.loads makes one of JSON text",
    (str, "items"): "it is text, not a dict: json.loads makes one of JSON text",
    (str, "keys"): "it is text, not a dict: json.loads makes one of JSON text",
    (str, "decode"): "it is text already",
    (bytes, "encode"): "it is bytes already",
}


def _hint(target: Any, name: str) -> str:
    instead = _INSTEAD.get((type(target), name))
    return f": {instead}" if instead else ""


def _defines(kind: type, name: str) -> bool:
    return any(type(base) is HandlerClass and name in vars(base) for base in kind.__mro__)


def _describe(target: Any) -> str:
    if type(target) is Facade:
        return target.name
    if isinstance(target, type):
        return f"type {target.__name__}"
    return f"a {type(target).__name__}"
