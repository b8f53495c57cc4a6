"""What a request came to: made in one go or field by field, it is the same, and never changes."""

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest

from negotiator.models.base import Usage
from negotiator.outcome import Outcome, Step, warm_outcome

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
    trace=(Step("plan", "routine: ready", 250.0), Step("send", "the peer answered: success", 500.0)),
)


def quick() -> Outcome:
    """One whose trace nobody has read yet."""
    return warm_outcome({"a": 1}, {"a": 1}, "structured", "sha256:x", "ready", 0.25, 0.5)


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
        copy.copy,
        copy.deepcopy,
        lambda made: made == FIELD_BY_FIELD,
        lambda made: replace(made, seconds=7.0),
    ],
)
def test_an_outcome_made_in_one_go_is_what_the_constructor_makes(seen: Any) -> None:
    assert seen(quick()) == seen(FIELD_BY_FIELD)


def test_a_trace_is_made_where_it_is_read_and_then_stays() -> None:
    made = quick()
    assert made.trace is made.trace
    with pytest.raises(AttributeError):
        made.other  # type: ignore[attr-defined]  # noqa: B018 - that it is not there is what is asked


@pytest.mark.parametrize("made", [quick(), quick().trace[0]])
def test_neither_an_outcome_nor_a_step_changes(made: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(made, type(made).__slots__[0], "other")
    assert not hasattr(made, "__dict__")
