"""The Python that models write every day means in a handler what it means everywhere."""

import json
import re
import warnings
from typing import Any

import pytest

import sandbox
from sandbox.locked import Locked

MANY = 60


def in_plain_python(source: str, data: Any) -> Any:
    """The result without any sandbox, as JSON has it."""
    space: dict[str, Any] = {"__name__": "handler"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Our own file.
        exec(source, space)  # noqa: S102
    return json.loads(json.dumps(space["handle"](data)))


def test_an_idiom_gives_what_it_gives_in_plain_python(locked: Locked, idiom: Any) -> None:
    expected = in_plain_python(idiom.source, idiom.copied())
    assert expected is not None
    assert locked.run(idiom.source, idiom.copied()) == expected


def test_there_are_many(idioms: dict[str, Any]) -> None:
    assert len(idioms) >= MANY


WORDS = {
    "import logging\n": "leave logging out",
    "import requests\n": "there is no network: call the tools",
    "from enum import Enum\n": "use constants or a dict",
    "import pytz\n": "use datetime.timezone(",
    "import numpy as np\n": "use lists, math and statistics",
    "import nothing_known\n": "there are: abc, base64",
    "from math import *\n": "write the names: from math import",
    "from datetime import tzinfo\n": "datetime.tzinfo is not available; datetime has: MAXYEAR",
    "import math\nA = math.sumprod\n": "math.sumprod is not available; math has: acos",
    "with open('x') as f:\n    pass\n": "use try and finally",
    "A = open('x')\n": "the data is the function's argument",
    "async def f():\n    pass\n": "call the tools as ordinary functions",
    "try:\n    pass\nexcept* ValueError:\n    pass\n": "write except",
    "class A:\n    def __add__(self, other):\n        return self\n": "write an ordinary name or method",
    "class A(metaclass=int):\n    pass\n": "class keywords are not available",
    "def f(x):\n    match x:\n        case A(y=1):\n            pass\n": "use if and isinstance",
    "def f(x):\n    match x:\n        case x.y:\n            pass\n": "use if for other values",
    "A = id(1)\n": "compare the values themselves",
    "A = f.__dict__\n": "__dict__",
}


@pytest.mark.parametrize(("source", "words"), WORDS.items(), ids=[source.split("\n")[0] for source in WORDS])
def test_what_is_refused_says_what_to_write_instead(locked: Locked, source: str, words: str) -> None:
    with pytest.raises(sandbox.PolicyViolation, match=re.escape(words)):
        locked.check(source + "def handle(data):\n    return data\n")
