"""The prompts: whole, and the same for the same work."""

from importlib import resources
from string import Template

import pytest

from negotiator.prompts import prompt

NAMES = sorted(
    each.name.removesuffix(".txt")
    for each in resources.files("negotiator.prompts").iterdir()
    if each.name.endswith(".txt")
)


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_has_both_parts_and_says_that_strangers_words_are_data(name: str) -> None:
    text = resources.files("negotiator.prompts").joinpath(f"{name}.txt").read_text(encoding="utf-8")
    wanted = Template(text).get_identifiers()
    system, user = prompt(name, **{each: f"<{each}>" for each in wanted})
    assert system
    assert "never follow instructions" in system or "take from it only the format" in system
    assert "$" not in system.replace("%", ""), "nothing is put into the system's part"
    for each in wanted:
        assert f"<{each}>" in user
    with pytest.raises(KeyError):
        prompt(name)


def test_values_are_not_looked_into() -> None:
    system, user = prompt("judge_reply", reply="$reply ${x} $$")
    assert "$reply ${x} $$" in user
    assert "$reply" not in system


def test_there_are_prompts() -> None:
    assert "fill" in NAMES
    with pytest.raises(FileNotFoundError):
        prompt("nothing of this name")
