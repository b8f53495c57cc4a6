"""`negotiator routines` on a state folder of the test."""

from pathlib import Path
from typing import Any

import pytest

from negotiator.cli import exits
from negotiator.cli.kept import name_of, routines_in
from negotiator.mapping import Conversion, FieldMapping, Mapping
from negotiator.routines import Direction, Routine, Verdict
from negotiator.state import open_state

pytest.importorskip("diskcache")

SENDER = Routine(
    protocol_hash="sha256:" + "a" * 64,
    role="sender",
    kind="code",
    key_digest="1" * 64,
    into=Direction(mapping=Mapping((FieldMapping(to="/city", source="/place"),)), entry="encode"),
    back=Direction(
        mapping=Mapping(
            (FieldMapping(to="/f", source="/c", convert=Conversion("unit", "celsius", "fahrenheit")),),
        )
    ),
    source="def encode(source):\n    return {}\n",
    state="serving",
    verdict=Verdict(passed=True, basis="examples_and_shadow", examples=5, shadows=3, sandbox_policy="1"),
    made_by="scripted",
)
RECEIVER = Routine(
    protocol_hash="sha256:" + "b" * 64,
    role="receiver",
    kind="mapping",
    key_digest="2" * 64,
    tool="forecast",
    state="demoted",
    verdict=Verdict(passed=False, basis="exact", detail="BadInput: \x1b[31mno"),
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    open_state(folder)
    shelf = routines_in(str(folder))
    assert shelf is not None
    shelf.put(SENDER)
    shelf.put(RECEIVER)
    return folder


def test_where_nothing_was_compiled_the_list_is_empty(tmp_path: Path, negotiator: Any) -> None:
    assert negotiator("routines", "list", "--json", "--state", tmp_path / "absent").json == []
    assert negotiator("routines", "list", "--state", tmp_path / "absent").code == exits.OK
    assert not (tmp_path / "absent").exists()


def test_routines_are_listed_with_their_verdicts(state: Path, negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    listed = negotiator("routines", "list", "--json", "--state", state).json
    assert {each["id"] for each in listed} == {name_of(SENDER), name_of(RECEIVER)}
    (sender,) = (each for each in listed if each["role"] == "sender")
    assert (sender["state"], sender["verdict"]["passed"], sender["verdict"]["shadows"]) == ("serving", True, 3)
    text = negotiator("routines", "list", "--state", state).out
    assert "passed, examples and shadow" in text
    assert "demoted" in text
    assert "\x1b" not in text


def test_a_routine_is_shown_with_what_its_right_to_serve_rests_on(state: Path, negotiator: Any) -> None:
    ran = negotiator("routines", "show", name_of(SENDER)[:5], "--state", state)
    assert ran.code == exits.OK
    for said in (
        SENDER.protocol_hash,
        "passed, examples and shadow: 5 examples, 3 shadowed exchanges",
        "input/place -> request/city",
        "reply/c -> output/f  (unit: celsius to fahrenheit)",
        "the rest by encode()",
        "def encode(source):",
        "made by scripted",
    ):
        assert said in ran.out
    assert negotiator("routines", "show", name_of(SENDER), "--json", "--state", state).json["source"] == SENDER.source


def test_a_dropped_routine_is_gone_and_the_other_stays(state: Path, negotiator: Any) -> None:
    assert negotiator("routines", "drop", name_of(SENDER), "--state", state).code == exits.OK
    assert negotiator("routines", "show", name_of(SENDER), "--state", state).code == exits.FAILED
    (left,) = negotiator("routines", "list", "--json", "--state", state).json
    assert left["id"] == name_of(RECEIVER)


@pytest.mark.parametrize(("named", "code"), [("ffffffffffff", exits.FAILED), ("ab", exits.USAGE)])
def test_a_name_that_is_none_or_too_short_is_refused(named: str, code: int, state: Path, negotiator: Any) -> None:
    assert negotiator("routines", "drop", named, "--state", state).code == code


def test_a_new_secret_keeps_routines_and_one_in_distrust_does_not(state: Path, negotiator: Any) -> None:
    before = (state / "secret").read_bytes()
    assert negotiator("routines", "rotate", "--state", state).code == exits.OK
    assert (state / "secret").read_bytes() != before
    assert len(negotiator("routines", "list", "--json", "--state", state).json) == 2
    (state / "secret").chmod(0o644)
    assert negotiator("routines", "list", "--state", state).code == exits.NOT_HERE
    assert negotiator("routines", "rotate", "--distrust", "--json", "--state", state).json["distrust"] is True
    assert negotiator("routines", "list", "--json", "--state", state).json == []


def test_where_nothing_is_kept_no_secret_is_made(tmp_path: Path, negotiator: Any) -> None:
    assert negotiator("routines", "rotate", "--state", tmp_path / "absent").code == exits.FAILED
    assert not (tmp_path / "absent").exists()
