"""The prompts, as text files beside this one. They hold no clocks and no ids, so that equal work is an equal prompt."""

import re
from functools import cache
from importlib import resources
from string import Template

_SYSTEM = re.compile(r"\A\[system\]\n(.*?)\n\[user\]\n(.*)\Z", re.DOTALL)


@cache
def _parts(name: str) -> tuple[str, Template]:
    text = resources.files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    match = _SYSTEM.match(text)
    if match is None:
        raise ValueError(f"prompt {name} has no [system] and [user] part")
    return match[1].strip(), Template(match[2].strip())


def prompt(name: str, /, **values: str) -> tuple[str, str]:
    """The system and user text of prompt `name` with `values` put in. Raises KeyError for a value not given."""
    system, user = _parts(name)
    return system, user.substitute(values)
