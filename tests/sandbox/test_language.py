"""What the language says of itself, and how it refuses."""

from typing import Any

import pytest

import sandbox
from sandbox.inside.facades import FACADES
from sandbox.locked import Locked


def test_the_description_names_every_module_and_no_other() -> None:
    imports = sandbox.LANGUAGE.split("no others: ")[1].split(".\n")[0]
    named = {word.split()[0] for word in imports.replace("\n", " ").split(",")}
    assert named == FACADES.keys() - {"collections.abc", "typing_extensions", "urllib"}


def test_what_the_description_says_is_missing_is_refused_with_its_line(locked: Locked) -> None:
    for line in (
        "with data: pass", "async def f(): pass", "eval('1')", "import os", "import time", "data.__class__",
        "__builtins__", "from datetime import UTC as __x__",
    ):  # fmt: skip
        with pytest.raises(sandbox.PolicyViolation) as caught:
            locked.run(f"def handle(data):\n    {line}", None)
        assert caught.value.violations[0][0] == 2


def failing(locked: Locked, body: str) -> str:
    with pytest.raises(sandbox.HandlerFailed) as caught:
        locked.run(f"from datetime import datetime\nimport re\ndef handle(data):\n    {body}", None)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return str(datetime.now())", "no clock"),
        ("return re.sub(r'(a*)*b', '', 'a' * 9999)", "it has a repeat of something that may be empty"),
        ("return {1: 2}", "a key is a value of type int, not text"),
        ("return datetime(2026, 1, 1)", "a value of type datetime is not JSON"),
        ("return '{0.real}'.format(1)", "use an f-string"),
        ("return data.foo", "a NoneType has no attribute 'foo' here"),
        ("return sleep(1)", "name 'sleep' is not defined"),
    ],
)
def test_a_failure_says_what_to_do_instead(locked: Locked, body: str, words: str) -> None:
    assert words in failing(locked, body)


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("import re\ndef handle(d):\n    return re.findall(r'(\\d{1,3}(?:\\.\\d{1,3}){3})', d)", ["10.0.0.1"]),
        ("import re\ndef handle(d):\n    return bool(re.fullmatch(r'[\\w.+-]+ [\\d.]+', d))", True),
        ("import re\ndef handle(d):\n    return re.split(r'\\s+', d, maxsplit=1)", ["host", "10.0.0.1"]),
        ("from textwrap import shorten\ndef handle(d):\n    return shorten(d, 8, placeholder='..')", "host.."),
        (
            "import heapq, bisect\ndef handle(d):\n    return heapq.nlargest(1, d) + [bisect.bisect('abc', 'b')]",
            ["t", 2],
        ),
        ("from unicodedata import normalize\ndef handle(d):\n    return len(normalize('NFD', 'é'))", 2),
    ],
)
def test_everyday_library_calls_work(locked: Locked, source: str, result: Any) -> None:
    assert locked.run(source, "host 10.0.0.1") == result


def test_an_error_text_does_not_say_where_an_object_lies(locked: Locked) -> None:
    with pytest.raises(sandbox.HandlerFailed) as caught:
        locked.run("def handle(data):\n    return {}[handle]", None)
    assert "function handle at 0x" in str(caught.value)
    assert "0x7" not in str(caught.value)
