"""Every function, method and builtin that a handler may reach, called with what it does not expect.

The language stands alone, in a worker that reports each use of the interpreter's insides.
"""

import pytest

import sandbox
from sandbox.inside.attributes import INSTANCE, ON_CLASS
from sandbox.inside.facades import FACADES
from sandbox.inside.guards import BUILTINS
from sandbox.locked import Locked
from tests.sandbox.shore import CANARY, Shore

LIMITS = sandbox.Limits(wall_s=20.0, output_bytes=1 << 20, tool_calls=10_000)
ENDLESS = frozenset({"count", "cycle", "repeat", "permutations", "combinations_with_replacement", "product"})

HEAD = """
import base64, collections, csv, datetime, decimal, fractions, io, json, re, urllib.parse
class Liar:
    name, delimiter = '__class__', ','
    def __len__(self):
        return 3
    def __iter__(self):
        return iter(['__class__', 1])
    def __getitem__(self, key):
        return look
    def __eq__(self, other):
        return True
    def __lt__(self, other):
        return True
    def __hash__(self):
        return 1
    def __call__(self, *args, **kwargs):
        return args[0] if args else look
    def __str__(self):
        return '__globals__'
    def write(self, text):
        return text
    def keys(self):
        return ['__dict__']
    def items(self):
        return [('__class__', 1)]
    def as_integer_ratio(self):
        return (1, 0)
def gen():
    yield look
HOSTILE = [None, Liar(), Liar, look, gen(), '__class__', '{0.__class__}', b'x', -1, 1 << 70, float('nan'), [[]],
           {'__class__': 1}, re, re.compile('a'), io.StringIO('x'), lambda *a, **k: a, getattr, 'rot13', ValueError('x')]
made = []
def t(f, *args):
    try:
        made.append(str(f(*args))[:40])
    except Exception as error:
        made.append(str(error)[:40])
def handle(data):
"""

OBJECTS = {
    "str": "'abc'", "bytes": "b'abc'", "int": "(5)", "bool": "True", "float": "(1.5)", "list": "[1, 2]",
    "tuple": "(1, 2)", "dict": "{'a': 1}", "set": "{1}", "frozenset": "frozenset([1])", "slice": "slice(1)",
    "range": "range(3)", "defaultdict": "collections.defaultdict(list)", "Counter": "collections.Counter('ab')",
    "OrderedDict": "collections.OrderedDict(a=1)", "deque": "collections.deque([1])",
    "datetime": "datetime.datetime(2026, 1, 1)", "date": "datetime.date(2026, 1, 1)", "time": "datetime.time(1)",
    "timedelta": "datetime.timedelta(1)", "timezone": "datetime.timezone.utc", "Decimal": "decimal.Decimal('1.5')",
    "IsoCalendarDate": "datetime.date(2026, 1, 1).isocalendar()", "DecimalTuple": "decimal.Decimal('1.5').as_tuple()",
    "Fraction": "fractions.Fraction(1, 2)", "StringIO": "io.StringIO('a')", "Pattern": "re.compile('(a)')",
    "Match": "re.match('(a)', 'a')", "DictReader": "csv.DictReader(['a', '1'])", "reader": "csv.reader(['a'])",
    "writer": "csv.writer(io.StringIO())", "SplitResult": "urllib.parse.urlsplit('http://x')",
    "ParseResult": "urllib.parse.urlparse('http://x')", "mappingproxy": "re.compile('(?P<a>x)').groupindex",
    "dict_keys": "{1: 2}.keys()", "dict_items": "{1: 2}.items()",
}  # fmt: skip
CLASSES = {
    "str": "str", "bytes": "bytes", "int": "int", "float": "float", "dict": "dict", "set": "set", "frozenset": "frozenset",
    "OrderedDict": "collections.OrderedDict", "datetime": "datetime.datetime", "date": "datetime.date",
    "time": "datetime.time", "timedelta": "datetime.timedelta", "timezone": "datetime.timezone",
    "Decimal": "decimal.Decimal", "Fraction": "fractions.Fraction", "chain": "itertools.chain",
}  # fmt: skip


def _facade(module: str) -> str:
    names = sorted(FACADES[module].members.keys() - (ENDLESS if module == "itertools" else frozenset()))
    listed = ", ".join(f"m.{name}" for name in names)
    head = HEAD.replace("def handle", f"import {module} as m\ndef handle")
    return (
        f"{head}    for f in [{listed}]:\n        t(f)\n        for a in HOSTILE:\n            t(f, a)\n"
        "            for b in HOSTILE[::3]:\n                t(f, a, b)\n    return made[-9:]\n"
    )


def _object(made: str, names: list[str]) -> str:
    body = "".join(
        f"    for a in HOSTILE:\n        t(lambda: {made}.{name}(a))\n        t(lambda: {made}.{name}(a, a))\n"
        for name in names
    )
    return f"{HEAD}{body}    return made[-9:]\n"


def _builtins() -> str:
    listed = ", ".join(name for name in BUILTINS if not name.startswith("_"))
    return (
        f"{HEAD}    for f in [{listed}]:\n        for a in HOSTILE:\n            t(f, a)\n"
        "            for b in HOSTILE[::3]:\n                t(f, a, b)\n                t(f, a, b, '__class__')\n"
        "    return made[-9:]\n"
    )


PROGRAMS = {
    **{f"module {name}": _facade(name) for name in FACADES},
    **{f"a {kind.__name__}": _object(OBJECTS[kind.__name__], list(names)) for kind, names in INSTANCE.items()},
    **{
        f"class {kind.__name__}": _object(CLASSES[kind.__name__], list(names)).replace(
            "import base64", "import itertools, base64"
        )
        for kind, names in ON_CLASS.items()
    },
    "the builtins": _builtins(),
}


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_hostile_arguments_reach_nothing(watched: tuple[Shore, Locked], source: str) -> None:
    shore, executor = watched
    result = executor.run(source, None, tools={"look": lambda *_args, **_more: {"seen": 1}}, limits=LIMITS)
    assert len(result) > 1
    assert CANARY not in repr(result)
    assert not shore.touched()
