"""Functions that the model writes: taken out of its words, tried at once, shown what went wrong once."""

import pytest

from negotiator.clock import Deadline
from negotiator.code_writing import MAX_SOURCE, CodeRefused, code_in, joined, write_direction
from negotiator.interpret import Interpreter
from negotiator.ledger import Account
from negotiator.models.scripted import InTurn, ScriptedModel
from negotiator.testing import VirtualClock
from tests.negotiator.engine_world import TEXT, obj

pytestmark = pytest.mark.anyio

GOOD = "def encode(source):\n    return {}\n"


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        (f"```python\n{GOOD}```", GOOD),
        (f"Here it is:\n```py\n{GOOD}```\nand more words", GOOD),
        (f"```\n{GOOD}", GOOD),
        (GOOD, GOOD),
        ("```python\ndef a():\n    pass\n```\ntext\n```python\ndef b():\n    pass\n```", "def a():\n    pass\n\ndef b():\n    pass\n"),
    ],
)  # fmt: skip
def test_code_is_what_stands_in_the_fences(answer: str, source: str) -> None:
    assert code_in(answer) == source


def test_two_sources_with_helpers_of_one_name_are_kept_apart() -> None:
    one = "def helper(x):\n    return x + 1\n\ndef encode(source):\n    return helper(source)\n"
    other = "def helper(x):\n    return x - 1\n\ndef decode(source):\n    return helper(source)\n"
    space: dict[str, object] = {}
    exec(joined([("encode", one), ("decode", other)]), space)  # noqa: S102 - our own text
    assert (space["encode"](1), space["decode"](1)) == (2, 0)  # type: ignore[operator]
    assert "    def helper" not in joined([("encode", GOOD), ("decode", "def decode(source):\n    return 1\n")])


async def ask(model: ScriptedModel, *problems: str | None) -> str:
    found = list(problems)

    async def trial(_source: str) -> str | None:
        return found.pop(0) if found else None

    asked = Interpreter(model, Account(), Deadline.after(60, VirtualClock()))
    shape = obj(a=TEXT)
    return await write_direction(
        asked, trial, name="encode", description="d", source_schema=shape, target_schema=shape, samples=[{"a": "x"}]
    )


async def test_what_went_wrong_is_shown_once_and_the_second_attempt_counts() -> None:
    model = ScriptedModel({"write_fields": InTurn("no code at all", GOOD)})
    assert await ask(model) == GOOD
    assert "there is no function named encode" in model.calls[1].messages[1].content
    model = ScriptedModel({"write_fields": GOOD})
    assert await ask(model, "the result is wrong at /a") == GOOD
    assert "the result is wrong at /a" in model.calls[1].messages[1].content
    assert len(model.calls) == 2


async def test_what_will_not_do_twice_is_refused() -> None:
    for answer in (
        "words",
        "def other(source):\n    return 1\n",
        GOOD + "#" * MAX_SOURCE,
    ):
        model = ScriptedModel({"write_fields": answer})
        with pytest.raises(CodeRefused):
            await ask(model)
        assert len(model.calls) == 2
    with pytest.raises(CodeRefused, match="never right"):
        await ask(ScriptedModel({"write_fields": GOOD}), "never right", "never right")
