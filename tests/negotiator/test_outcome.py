"""What a request came to: made in one go or field by field, it is the same, and never changes."""

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest

from negotiator.models.base import Usage
from negotiator.outcome import Outcome, Step, outcome_of, step_of

QUICK = outcome_of(
    {"a": 1}, {"a": 1}, "routine", "structured", "sha256:x", "ready", Usage(), 0.5, "none", (step_of("plan", "x", 1.0),)
)
FIELD_BY_FIELD = Outcome(
    output={"a": 1},
    json={"a": 1},
    tier="routine",
    peer_tier="structured",
    protocol_hash="sha256:x",
    reason="ready",
    usage=Usage(),
    seconds=0.5,
    model="none",
    trace=(Step("plan", "x", 1.0),),
)


@pytest.mark.parametrize(
    "seen",
    [
        lambda made: made,
        repr,
        asdict,
        type,
        lambda made: type(made.trace[0]),
        lambda made: hash(replace(made, output="a", json="a")),
        lambda made: pickle.loads(pickle.dumps(made)),  # noqa: S301 - our own
        copy.deepcopy,
        lambda made: replace(made, seconds=7.0),
    ],
)
def test_an_outcome_made_in_one_go_is_what_the_constructor_makes(seen: Any) -> None:
    assert seen(QUICK) == seen(FIELD_BY_FIELD)


@pytest.mark.parametrize("made", [QUICK, QUICK.trace[0]])
def test_neither_an_outcome_nor_a_step_changes(made: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(made, type(made).__slots__[0], "other")
    assert not hasattr(made, "__dict__")
