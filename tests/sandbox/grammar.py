"""Writes hostile programs by grammar: one from each seed, the same on every machine."""

import random
import re

from sandbox.inside.facades import FACADES
from sandbox.inside.guards import BUILTINS

HIDDEN = [
    "__class__",
    "__base__",
    "__bases__",
    "__subclasses__",
    "__mro__",
    "__dict__",
    "__globals__",
    "__code__",
    "__closure__",
    "__func__",
    "__self__",
    "__builtins__",
    "__init__",
    "__getattribute__",
    "__reduce__",
    "__reduce_ex__",
    "__module__",
    "__traceback__",
    "__context__",
    "__cause__",
    "__wrapped__",
    "__get__",
    "__call__",
    "__doc__",
    "__import__",
    "__loader__",
    "__spec__",
    "__subclasshook__",
    "__init_subclass__",
    "__set_name__",
    "__class_getitem__",
    "__prepare__",
    "__mro_entries__",
    "__match_args__",
    "__annotations__",
    "__defaults__",
    "__kwdefaults__",
    "__qualname__",
    "__slots__",
    "__weakref__",
    "__del__",
    "__enter__",
    "__exit__",
    "__fields__",
    "__record__",
    "__frozen__",
    "_getattr_",
    "_write_",
    "__metaclass__",
    "tb_frame",
    "tb_next",
    "f_back",
    "f_globals",
    "f_locals",
    "f_builtins",
    "f_code",
    "gi_frame",
    "gi_code",
    "gi_yieldfrom",
    "cr_frame",
    "ag_frame",
]
OPEN = [
    "mro",
    "obj",
    "name",
    "args",
    "members",
    "func",
    "keywords",
    "fget",
    "fset",
    "setter",
    "getter",
    "deleter",
    "send",
    "throw",
    "close",
    "with_traceback",
    "add_note",
    "cell_contents",
    "canary",
    "x",
    "items",
    "append",
    "get",
    "real",
    "upper",
    "now",
    "today",
    "utcnow",
    "join",
    "strftime",
    "strptime",
    "groups",
    "group",
    "string",
    "re",
    "expand",
    "pattern",
    "match",
    "sub",
    "format",
    "format_map",
    "encode",
    "decode",
    "codecs",
    "decoder",
    "sys",
    "os",
    "modules",
    "open",
    "read",
    "write",
    "getvalue",
    "copy",
    "update",
    "pop",
    "default_factory",
    "maxlen",
    "cache_clear",
    "cache_info",
    "register",
    "import_module",
    "environ",
    "value",
    "reason",
    "doc",
    "msg",
]
BUILT = sorted(name for name in BUILTINS if not name.startswith("_"))
REACHES = (
    "open(data['file']).read()",
    "__import__('io').open(data['file']).read()",
    "__import__('os').environ",
    "__import__('os').popen('cat ' + data['file']).read()",
    "__import__('os').read(__import__('os').open(data['file'], 0), 99).decode()",
    "__import__('os').write(1, b'\\0\\0\\0\\1R1')",
    "__import__('os').kill(__import__('os').getppid(), 0)",
    "__import__('os').fork()",
    "__import__('subprocess').run(['cat', data['file']], capture_output=True).stdout.decode()",
    "__import__('socket').create_connection(('127.0.0.1', data['port']), 0.1)",
    "__import__('socket').socket(2, 2).sendto(b'x', ('127.0.0.1', data['port']))",
    "__import__('pathlib').Path(data['file']).read_text()",
    "__import__('pathlib').Path(data['file']).write_text('gone')",
    "__import__('shutil').copy(data['file'], '/tmp/copied')",
    "__import__('sys').modules['__main__'].CANARY",
    "__import__('sys')._getframe(3).f_globals['CANARY']",
    "[f.f_globals.get('CANARY') for f in __import__('sys')._current_frames().values()]",
    "__import__('gc').get_objects()[-1]",
    "__import__('ctypes').CDLL(None).getpid()",
    "__import__('mmap').mmap(-1, 99, prot=5)",
    "__import__('_thread').start_new_thread(look, (1,))",
    "__import__('signal').alarm(1)",
    "__import__('resource').setrlimit(9, (-1, -1))",
    "__import__('pickle').loads(b'cos\\nsystem\\n(S\"id\"\\ntR.')",
    "__import__('time').sleep(9)",
    "open('/proc/self/environ').read()",
    "open('/proc/self/fd/0').read(1)",
    "open('/proc/%d/environ' % __import__('os').getppid()).read()",
    "eval('open')(data['file']).read()",
    "exec('import os')",
    "globals()",
    "vars(look)",
    "breakpoint()",
    "().__class__.__base__.__subclasses__()",
    "[c for c in ().__class__.__base__.__subclasses__() if 'Loader' in c.__name__][0].get_data(data['file'], data['file'])",
    "look.__closure__[0].cell_contents",
    "look.__globals__['__builtins__']",
    "type('X', (dict,), {})",
    "type(look)(look.__code__, {})",
)
ATOMS = """
data|data|handle|look|look|A|A()|D(1)|g|e|f|n|r|m|k|K|[]|{}|()|''|(0)|(1)|(1.5)|True|None|b'x'|{1}|'<W>'|data['file']|data['port']|<B>|<B>|<B>
|(x for x in [1])|(lambda: 1)|<N>|range(<N>)|m.<O>
"""
EXPRESSIONS = """
<E>.<A>|<E>.<A>|<E>.<A>|<E>.<A>.<A>|<E>.<A>(<E>)|<E>.<A>()|<E>.<A>.<A>.<A>|<E>(<E>)|<E>()|<E>(*<E>)|<E>(**<E>)
|getattr(<E>, '<A>')|getattr(<E>, '<A>', <E>)|getattr(<E>, '<L>' + '<R>')|hasattr(<E>, '<A>')|getattr(<E>, <E>)
|list(map(getattr, [<E>], ['<A>']))|<B>(<E>)|<B>(<E>)|<B>(<E>, <E>)|<B>(<E>, <E>, <E>)
|'{0.<A>}'.format(<E>)|'{0[<A>]}'.format(<E>)|'{a.<A>.<A>}'.format(a=<E>)|'{a[<A>].<A>}'.format_map({'a': <E>})
|str.format('{0.<A>!r}', <E>)|'{:{}}'.format(<E>, <E>)|'%<S>' % (<E>,)|format(<E>, '<S>')|f'{<V>:<S>}'|f'{<V>!r:><D>}'|f'{<V>.<A>}'
|[<E> for x in <E>]|[x for x in [<E>] if <E>]|{str(x): <E> for x in [<E>]}|{x for x in <E>}|list(x.<A> for x in [<E>])
|sorted([<E>, <E>], key=<E>)|max([<E>], key=<B>)|list(map(<B>, [<E>]))|list(filter(<E>, [<E>]))|next(iter(<E>))|dict(zip([<E>], [<E>]))
|(lambda x, *a: <E>)(<E>)|(lambda <G>: <E>)(<E>)|(y := <E>)|[y := <E>, y.<A>]|type(<E>)|type(<E>)(<E>)|type(<E>).<A>
|<E>[<E>]|<E>[<E>:<E>]|<E> <P> <E>|<E> <P> <E>|(<E> if <E> else <E>)|[*<E>]|{**<E>}|not <E>|-<E>|<E> == <E>
|look(<E>)|look(<E>, k=<E>)|look(look(<E>))|[look(x) for x in [<E>, <E>]]|m.<O>|m.<O>(<E>)|m.<O>(<E>, <E>)|m.<O>.<A>|k(<E>)|k(<E>, <E>)|k.<A>
|'<W>' * <N>|[0] * <N>|10 ** <I>|1 << <N>|bytes(<N>)|list(range(<N>))|'<W>'.ljust(<N>)|'<W>'.replace('', '<W>' * <N>)
|A.<A>|A().<A>|D(<E>).x|str(e)|e.args|repr(<E>)|<E>.__class__.__name__|<E>.__name__
"""
STATEMENTS = """
e = <E>|e = <E>|e = <E>|r = <E>|out.append(<E>)|out.append(<E>)|<E>|<V>.<A> = <E>|A.<A> = <E>|A.x += <E>|data[<E>] = <E>|<V> += <E>
|<V>, e = <E>|*r, e = [<E>, <E>]|del <V>.<A>|del data['k']|assert <E>, <E>|raise <X>(<E>)|raise <X>(<E>) from e|return <E>|global K
|import <M> as m|from <M> import <O> as k|look(<E>, *[<E>])|e: <E> = <E>|for x in <E>: e = x|for e.x in [<E>]: pass|while <E>: break
|try: e = <E>§except <X> as x: e = x|try: e = <E>§except <X>: e = <E>|try: e = <E>§except: e = 1|try: e = <E>§finally: r = <E>
|try: raise <X>(<E>)§except Exception as x: e = x§e = [e.args, str(e)]|try: 1 / 0§except <X> as x: e = x.<A>
|def n(<G>=<E>): return <E>|def n(*a, **k): return a|class C(<E>): x = <E>|class C: y = <E>|if <E>: e = <E>
|match <E>:§    case {'k': e}: pass§    case [e, *r]: pass§    case str(e): pass|<G> = <E>|for <G> in [<E>]: pass
|e = gen(<E>)|e = next(g)|e = list(g)|e = g.<A>|def h():§    global e§    e = <E>§h()
"""
RUDE = """
with <E> as x: e = x|match <E>:§    case <B>(x=e): pass|match <E>:§    case str(__class__=e): pass|from <M> import *|import <M> as <G>
|async def c(): yield <E>|try: e = <E>§except* <X> as x: e = x|class C(metaclass=<E>): pass|nonlocal <G>|global <G>|@<E>§def n(): pass
|(<G> := <E>)|<V>.<A> += <E>|del <G>|def <A>(x): return <E>|import os.path as m|e = lambda <G>, /: <E>|class C(**<E>): pass
"""
METHODS = [
    "__init__",
    "__eq__",
    "__lt__",
    "__len__",
    "__iter__",
    "__next__",
    "__getitem__",
    "__str__",
    "__repr__",
    "__hash__",
    "__bool__",
    "__call__",
    "__contains__",
    "__getattr__",
    "__getattribute__",
    "__del__",
    "__new__",
    "__class__",
    "__format__",
    "__index__",
    "__reduce__",
    "__set_name__",
    "m",
    "p",
]
GUARDS = [
    "x",
    "a",
    "q",
    "_q",
    "__q",
    "_getattr_",
    "_write_",
    "_format_",
    "_module_",
    "__builtins__",
    "__metaclass__",
    "__class__",
    "_tmp0",
    "private_x",
    "print",
]
ERRORS = [
    "Exception",
    "ValueError",
    "KeyError",
    "TypeError",
    "AttributeError",
    "(KeyError,TypeError)",
    "BaseException",
    "StopIteration",
    "E",
]
NUMBERS = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "(-1)",
    "255",
    "1000",
    "4301",
    "65536",
    "10**6",
    "10**9",
    "10**18",
    "1<<62",
    "1<<70",
    "10**5",
]
# A power of a large one takes all the time there is, and what the program does after it is never tried.
EXPONENTS = ["0", "1", "2", "7", "(-1)", "255", "4301", "65536", "10**5", *NUMBERS]
SPECS = [
    "s",
    "d",
    "r",
    ">9",
    ".3f",
    "999",
    "1000",
    "99999999",
    ".9999999f",
    "*^9",
    "%Y-%m",
    "%999d",
    "{0}",
    ",",
    "_",
    "0>10**9",
    "*d",
]
WORDS = ["a", "ab", "class", "__", "os", "x=1", "{}", "{0.a}", "%s", "(a+)+", "\\\\d", "é", "ﬁ"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "|", "&", "^", "<<", ">>", "==", "<", "in", "and", "or"]
HIDDEN_START = ("_", "tb_", "f_", "gi_", "cr_", "ag_")
_HOLE = re.compile("<([A-Z])>")


def _table(text: str) -> list[list[str]]:
    """Templates as text and holes by turns."""
    return [_HOLE.split(entry) for entry in text.replace("\n", "").split("|") if entry]


_ATOMS, _EXPRESSIONS, _STATEMENTS, _RUDE = map(_table, (ATOMS, EXPRESSIONS, STATEMENTS, RUDE))


class Writer:
    """One program. Most are polite: what the compiler would refuse is left out, so that they run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._choice = self.random.choice
        self.polite = self.random.random() < 0.75
        self._module = self._choice([name for name in FACADES if "." not in name] + ["os", "sys"] * (not self.polite))
        self._members = sorted(FACADES[self._module].members) if self._module in FACADES else ["path"]
        self._attributes = [*OPEN, *self._members] if self.polite else [*HIDDEN, *OPEN]

    def program(self) -> str:
        """The source."""
        tried = "".join(f"    t(lambda: {self.expression(2)}),\n" for _ in range(self.random.randint(1, 3)))
        body = "".join(
            f"    try:\n{self._block(2, 8)}    except {'Exception' if self.polite else self._choice(ERRORS)} as x:\n"
            "        out.append(str(x))\n"
            for _ in range(self.random.randint(1, 2))
        )
        method = self._choice(METHODS[:13] + METHODS[-2:] if self.polite else METHODS)
        parameter = self._choice(GUARDS[:4] if self.polite else GUARDS)
        return (
            f"import {self._module} as m\nK = k = e = r = n = None\nsteps = []\n"
            # Errors that are caught make recursion branch, so the steps are counted.
            "def t(f):\n    steps.append(1)\n    if len(steps) > 200:\n        return 'enough'\n"
            "    try:\n        return str(f())\n    except Exception as e:\n        return str(e)\n"
            f"{self._definitions(method, parameter)}"
            f"def handle(data):\n    global K, k, e, r, n, m\n    g = gen()\n    out = []\n{body}"
            f"    out += [\n{tried}    ]\n    return out\n"
        )

    def _definitions(self, method: str, parameter: str) -> str:
        error = self._choice(["ValueError", "Exception", "AttributeError", "KeyError"])
        kind = self._choice(["class D", "class D(E)", "from dataclasses import dataclass\n@dataclass\nclass D"])
        return (
            f"class E({error}):\n    pass\nclass A:\n    x = K\n"
            f"    def {method}(self, *a):\n        return t(lambda: {self.expression(1)})\n{kind}:\n    x: int = 0\n"
            f"def f({parameter}=1):\n    return {self.expression(1)}\n"
            f"def gen(x=1):\n    try:\n        yield {self.expression(1)}\n    finally:\n        look(2)\n"
        )

    def _block(self, lines: int, indent: int) -> str:
        written = ""
        for _ in range(self.random.randint(1, lines)):
            for line in self._fill(self._choice(_STATEMENTS if self.polite else _STATEMENTS + _RUDE), 1).split("§"):
                written += f"{' ' * indent}{line}\n"
        return written

    def expression(self, depth: int) -> str:
        """An expression of that many levels."""
        if not self.polite and self.random.random() < 0.08:
            return self._choice(REACHES)
        return self._fill(self._choice(_EXPRESSIONS if depth else _ATOMS), depth - 1)

    def _fill(self, template: list[str], depth: int) -> str:
        if len(template) == 1:
            return template[0]
        parts = list(template)
        for hole in range(1, len(parts), 2):
            parts[hole] = self._hole(parts[hole], depth)
        return "".join(parts)

    def _hole(self, kind: str, depth: int) -> str:  # noqa: C901, PLR0912 - one line a kind
        pick = self._choice
        match kind:
            case "E":
                return self.expression(max(depth, 0))
            case "A":
                return pick(self._attributes)
            case "B":
                return pick(BUILT)
            case "O":
                return pick(self._members)
            case "L":
                return pick(HIDDEN)[:4]
            case "R":
                return pick(HIDDEN)[4:]
            case "D":
                return pick(["5", "99", "999", "1000", "10000000"])
            case "N":
                return pick(NUMBERS)
            case "I":
                return pick(EXPONENTS)
            case "S":
                return pick(SPECS)
            case "W":
                return pick(WORDS)
            case "V":
                return pick(["e", "r", "K", "data", "n"])
            case "P":
                return pick(OPERATORS)
            case "G":
                return pick(GUARDS[:4] if self.polite else GUARDS)
            case "X":
                return pick(ERRORS[:6] if self.polite else ERRORS)
        return pick(
            [self._module, "math", "json", "datetime", "re"] if self.polite else ["os", "sys", "builtins", "gc", "re"]
        )
