"""Programs made by grammar, aimed at what a handler must not reach.

The language's wall is tried in this process, where the canaries are: a file, the environment, a global of this
module, the tool's own function, the builtins and the facades. `FUZZ_PROGRAMS` sets how many.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.inside.attributes import INSTANCE, ON_CLASS
from sandbox.inside.facades import FACADES
from sandbox.inside.guards import BUILTINS
from sandbox.locked import Locked
from sandbox.trusted import Trusted

CANARY = "canary-71d3"
PROGRAMS = int(os.environ.get("FUZZ_PROGRAMS", "600"))
LOCKED_PROGRAMS = PROGRAMS // 10

ATTRIBUTES = [
    "__class__", "__base__", "__bases__", "__subclasses__", "__mro__", "mro", "__dict__", "__globals__", "__code__", "__closure__", "__func__", "__self__", "__builtins__", "__init__", "__getattribute__", "__reduce__", "__module__", "__traceback__", "__context__", "tb_frame", "tb_next", "f_back", "f_globals", "f_locals", "f_builtins", "gi_frame", "gi_code", "cr_frame", "ag_frame", "obj", "name", "args", "members", "format", "format_map", "codecs", "decoder", "sys", "os", "modules", "open", "read", "func", "fget", "fset", "setter", "send", "throw", "with_traceback", "canary", "__name__", "_private", "x", "upper", "items", "append", "get", "real", "now", "today", "join", "strftime", "groups", "cell_contents", "__wrapped__", "__get__", "__call__", "__doc__",
]  # fmt: skip
REFUSED = ("_", "tb_", "f_", "gi_", "cr_", "ag_")
BUILT = [*sorted(name for name in BUILTINS if not name.startswith("_")), "look"]
ROOTS = [
    "data",
    "handle",
    "look",
    "A",
    "A()",
    "g",
    "e",
    "f",
    "(lambda: 1)",
    "(x for x in [1])",
    "()",
    "''",
    "(1)",
    "(1.5)",
    "[]",
    "{}",
]
GUARDS = [
    "_getattr_",
    "_write_",
    "_format_",
    "__metaclass__",
    "__builtins__",
    "_module_",
    "_tmp0",
    "private_x",
    "print",
]


class Writer:
    """Writes one program from one seed. Most are polite: nothing in them is refused before they run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.polite = self.random.random() < 0.8
        self.attributes = [name for name in ATTRIBUTES if not (self.polite and name.startswith(REFUSED))]
        self.built = BUILT if self.polite else [*BUILT, "open", "eval", "__import__", "globals"]

    def either(self, polite: list[str], rude: list[str]) -> str:
        return self.random.choice(polite if self.polite else [*polite, *rude])

    def program(self) -> str:
        """Everything that may fail is tried on its own, so that one error does not hide the rest."""
        head = [f"{line}\n" for line in self.random.sample(self.headings(), self.random.randint(0, 3))]
        tried = "".join(f"        t(lambda: {self.expression(3)}),\n" for _ in range(6))
        body = ""
        for _ in range(self.random.randint(1, 4)):
            lines = "".join(f"        {line}\n" for line in self.statement(2))
            body += f"    try:\n{lines}    except Exception as x:\n        out.append(str(x))\n"
        return (
            f"{''.join(head)}"
            # Errors that are caught make recursion branch: the steps are counted, for this process has no deadline.
            "steps = []\n"
            "def t(f):\n    steps.append(1)\n    if len(steps) > 300:\n        return 'enough'\n"
            "    try:\n        return str(f())\n    except Exception as e:\n        return str(e)\n"
            f"class A{self.either(['', '(ValueError)'], ['(str)', '(object)', '(A)'])}:\n    x = 1\n"
            f"    def {self.either(['m', '__init__', '__eq__', '_p'], ['__getattribute__', '__str__'])}(self, *a):\n"
            f"        self.x = t(lambda: {self.expression(2)})\n"
            f"def f({self.either(['', 'a=1', '*a', '**k', 'a: int = 1'], ['_getattr_=1, /'])}):\n"
            f"    return t(lambda: {self.expression(2)})\n"
            f"def gen():\n    yield t(lambda: {self.expression(2)})\n"
            f"def handle(data):\n    m = k = K = e = None\n    g = gen()\n    out = []\n{body}"
            f"    out += [\n{tried}    ]\n    return out\n"
        )

    def headings(self) -> list[str]:
        module = self.either([name for name in FACADES if "." not in name], ["os", "sys", "builtins", "gc", "inspect"])
        members = list(FACADES[module].members) if module in FACADES else ["path"]
        member = self.either(members, ATTRIBUTES)
        return [
            f"import {module} as m", f"from {module} import {member} as k", f"import {module}",
            f"{self.either(['z', 'private_x', 'Q'], GUARDS)} = {self.expression(1)}", f"K = {self.expression(2)}", "from typing import Any",
        ]  # fmt: skip

    def statement(self, depth: int) -> list[str]:
        pick, text = self.random.choice, self.expression
        inner = [f"    {line}" for line in (self.statement(depth - 1) if depth else [f"e = {text(1)}"])]
        return pick([
            [f"e = {text(depth)}"],
            [f"e.{pick(self.attributes)} = {text(1)}"],
            [f"A.x += {text(1)}"],
            [f"data[{text(1)}] = {text(1)}"],
            ["try:", *inner, f"except {self.either(['Exception', 'ValueError', '(KeyError, TypeError)'], ['BaseException'])} as x:", *inner],
            ["try:", *inner, "finally:", *inner],
            ["try:", *inner, "except:", *inner],
            [f"for {self.either(['x', '_', 'e.x', 'a, b'], ['_getattr_'])} in [{text(1)}, {text(1)}]:", *inner],
            [f"if {text(1)}:", *inner],
            [f"global {self.either(['K', 'handle'], ['_getattr_'])}"],
            [f"def n({self.either(['x', 'a', '_q'], ['_write_', '_getattr_'])}={text(1)}):", *inner],
            [f"import {self.either(['math', 'json', 'datetime', 're'], ['os'])}"],
            [f"del {pick(['A.x', 'out[0]', 'data[0]'])}"],
            [f"look({text(1)}, {pick(['', 'k=1', '*[1]', '**{}'])})"],
        ])  # fmt: skip

    def expression(self, depth: int) -> str:
        pick = self.random.choice
        if depth == 0:
            return pick(
                [
                    *ROOTS,
                    *ROOTS,
                    "m",
                    "k",
                    "K",
                    "e",
                    *self.random.sample(self.built, 3),
                    repr(CANARY[:4]),
                    "data['file']",
                ]
            )
        one, two = self.expression(depth - 1), self.expression(depth - 1)
        attribute, hidden = pick(self.attributes), pick(ATTRIBUTES)
        return pick([
            f"{one}.{attribute}",
            f"{one}.{attribute}",
            f"{one}.{attribute}.{pick(self.attributes)}",
            f"{one}.{attribute}({two})",
            f"getattr({one}, {hidden!r}, {two})",
            f"getattr({one}, {hidden[:3]!r} + {hidden[3:]!r})",
            f"{pick(self.built)}({one})",
            f"{pick(self.built)}({one}, {two})",
            f"'{{0.{hidden}}}'.format({one})",
            f"'{{0[{hidden}]}}'.format({one})",
            f"str.format('{{a.{hidden}}}', a={one})",
            f"f'{{{one.replace(chr(39), chr(34))}!r}}'" if not set(one) & set("'\"{}\\\\") else one,
            f"[{one} for x in [{two}]]",
            f"{{str(k): {one} for k in [{two}]}}",
            f"list(map({pick(self.built)}, [{one}]))",
            f"sorted([{one}, {two}], key={pick(self.built)})",
            f"(lambda {self.either(['x', '*a'], ['_getattr_'])}: {one})({two})",
            f"type({one})",
            f"type({one})({two})",
            f"{one}[{two}]",
            f"({one} if {two} else {one})",
            f"(y := {one})",
            f"next(iter({one}))",
            f"look({one})",
            f"[*{one}]",
            f"{{**{one}}}",
            f"{one} {pick(['+', '*', '==', 'in', 'and', '|', '%'])} {two}",
        ])  # fmt: skip


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SANDBOX_CANARY", CANARY)
    path = tmp_path / "canary"
    path.write_text(CANARY)
    return str(path)


def tool(looked: list[Any]) -> Callable[..., Any]:
    def look(*args: Any, **kwargs: Any) -> Any:
        looked.append((args, kwargs))
        return {"seen": [1, 2]}

    look.canary = CANARY  # type: ignore[attr-defined]
    return look


def shape(table: Any) -> Any:
    return {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}


def test_no_program_gets_past_the_language(file: str) -> None:
    executor = Trusted()
    before = [shape(table) for table in (BUILTINS, INSTANCE, ON_CLASS, {k: v.members for k, v in FACADES.items()})]
    ended: dict[str, int] = {}
    for seed in range(PROGRAMS):
        outcome, looked = attempt(executor, Writer(seed).program(), file)
        assert CANARY not in repr((outcome, looked)), seed
        assert isinstance(outcome, sandbox.SandboxError) or is_plain(outcome), seed
        ended[type(outcome).__name__] = ended.get(type(outcome).__name__, 0) + 1
    after = [shape(table) for table in (BUILTINS, INSTANCE, ON_CLASS, {k: v.members for k, v in FACADES.items()})]
    assert before == after
    # A grammar that is always refused tries nothing: enough programs must run.
    assert ended["list"] > PROGRAMS // 6


def test_no_program_gets_past_both_walls(locked: Locked, file: str) -> None:
    for seed in range(PROGRAMS, PROGRAMS + LOCKED_PROGRAMS):
        outcome, looked = attempt(locked, Writer(seed).program(), file)
        assert CANARY not in repr((outcome, looked)), seed
        assert isinstance(outcome, sandbox.SandboxError) or is_plain(outcome), seed
        assert not isinstance(outcome, sandbox.SandboxUnavailable), seed


def attempt(executor: Any, source: str, file: str) -> tuple[Any, list[Any]]:
    looked: list[Any] = []
    try:
        return executor.run(source, {"file": file, "k": [1]}, tools={"look": tool(looked)}), looked
    except sandbox.SandboxError as error:
        return error, looked


def is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return type(value) in {str, int, float, bool, type(None)}
