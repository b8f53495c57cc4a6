"""`bfcl`: the data set's functions as tools, its right calls as it has them, and what is counted over 1,000 calls."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import __main__ as command
from benchmarks.bfcl_functions import first_right, is_right, read_functions
from benchmarks.fetch_bfcl import PARTS
from benchmarks.scenarios.bfcl import AT, break_even, course, errand_of

RIDE = {
    "name": "uber.ride",
    "description": "Finds a  ride",
    "parameters": {
        "type": "dict",
        "required": ["loc", "time"],
        "properties": {
            "loc": {"type": "string", "description": "Where it starts"},
            "time": {"type": "integer", "description": "How long one waits", "default": 600},
            "price": {"type": "float"},
            "options": {"type": "dict", "properties": {"kind": {"type": "string", "enum": ["plus", "black"]}}},
        },
    },
}
WEATHER = {"name": "weather", "description": "Tells the weather", "parameters": {"type": "dict", "properties": {}}}


def rows(number: int, truth: dict[str, Any], functions: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    name = f"live_{number}"
    question = [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"A ride, number {number}"}]]
    return {"id": name, "question": question, "function": functions}, {"id": name, "ground_truth": [truth]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "bfcl"
    (folder / "possible_answer").mkdir(parents=True)
    made = [
        rows(1, {"uber.ride": {"loc": ["Berkeley, CA"], "time": [600], "price": ["", 9.5]}}, [RIDE]),
        rows(
            2,
            {"uber.ride": {"loc": ["Oakland"], "time": [60], "options": [{"kind": ["plus", "black"]}]}},
            [RIDE, WEATHER],
        ),
        rows(3, {"uber.ride": {"loc": [7], "time": [60]}}, [RIDE]),
        rows(4, {"unknown": {}}, [RIDE]),
    ]
    for part, chosen in zip(PARTS, (made[:1], made[1:]), strict=True):
        for at, path in enumerate((folder / part, folder / "possible_answer" / part)):
            path.write_text("\n".join(json.dumps(each[at]) for each in chosen), encoding="utf-8")
    return tmp_path / "data"


def test_functions_are_tools_with_schemas_and_all_their_questions(data: Path) -> None:
    (ride,), left_out = read_functions(data / "bfcl")
    assert (ride.offer.name, ride.offer.description, left_out) == ("uber_ride", "Finds a ride", 2)
    assert ride.offer.takes["properties"]["price"] == {"type": "number"}
    assert ride.offer.takes["properties"]["options"]["type"] == "object"
    assert "default" not in ride.offer.takes["properties"]["time"]
    assert [each.text for each in ride.questions] == ["Be brief.\nA ride, number 1", "Be brief.\nA ride, number 2"]
    assert [each.name for each in ride.questions[1].offered] == ["uber_ride", "weather"]
    assert [first_right(each) for each in ride.questions] == [
        {"loc": "Berkeley, CA", "time": 600},
        {"loc": "Oakland", "time": 60, "options": {"kind": "plus"}},
    ]


@pytest.mark.parametrize(
    ("called", "right"),
    [
        ({"loc": "Berkeley, CA", "n": 2}, True),
        ({"loc": "berkeley ca", "n": 2}, True),
        ({"loc": "Berkeley, CA", "n": 2, "price": 9.5}, True),
        ({"loc": "Berkeley, CA", "n": 2, "options": {"kind": "black"}}, True),
        ({"loc": "Berkeley, CA", "n": 2, "options": {"kind": "pool"}}, False),
        ({"loc": "Berkeley, CA", "n": 2, "price": 9}, False),
        ({"loc": "Berkeley, CA", "n": 2, "more": 1}, False),
        ({"loc": "Berkeley, CA"}, False),
        ({"loc": "Oakland", "n": 2}, False),
        ({"loc": "Berkeley, CA", "n": True}, False),
    ],
)
def test_a_call_is_right_where_each_value_is_among_the_right_ones(called: dict[str, Any], *, right: bool) -> None:
    truth = {"loc": ["Berkeley, CA"], "n": [2, 1], "price": ["", 9.5], "options": ["", {"kind": ["plus", "black"]}]}
    assert is_right(truth, called) is right


def test_calls_are_recorded_ones_first_and_come_again_where_there_are_too_few(data: Path) -> None:
    (ride,), _ = read_functions(data / "bfcl")
    errand = errand_of(ride, ride.questions[1], held_out=30)
    assert (len(errand.build), len(errand.held_out)) == (6, 30)
    assert errand.build[0].asked == first_right(ride.questions[0])
    assert [each.name for each in errand.others] == ["weather"]
    again = [each.result for each in (*errand.build, *errand.held_out) if each.asked == errand.build[0].asked]
    assert len(again) > 1
    assert all(each == again[0] for each in again)


def made(agreeing: float, each: list[int], held_out: int) -> dict[str, Any]:
    return {"agreeing": agreeing, "each": each, "held_out": held_out}


def test_what_was_made_counts_as_it_was_and_the_rest_as_the_last_half() -> None:
    spent = course(made(100, [50, 50, 30, 30, 10, 0], 4))
    assert (len(spent), spent[0], spent[5]) == (AT, 150, 270)
    assert spent[6] - spent[5] == 5
    assert spent[-1] == 270 + (AT - 6) * 5
    assert course(made(0, [0] * 6, 5))[-1] == 0


def test_it_pays_from_the_call_on_after_which_it_is_never_behind() -> None:
    assert break_even([0.0] * 10, 5) == 1
    assert break_even([50, 50, 50, 50], 20) == 3
    assert break_even([10, 45, 45, 45], 20) == 3
    assert break_even([50, 70, 90], 20) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 60))
def test_before_the_break_even_call_it_is_behind_and_from_then_on_not(each: list[int], interpreted: int) -> None:
    spent = [float(sum(each[: n + 1])) for n in range(len(each))]
    found = break_even(spent, interpreted)
    ahead = [total <= n * interpreted for n, total in enumerate(spent, 1)]
    if found is None:
        assert not ahead[-1]
    else:
        assert all(ahead[found - 1 :])
        assert found == 1 or not ahead[found - 2]


def test_the_report_says_what_agreeing_takes_and_goes_on_where_it_stopped(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["run", "bfcl", "--data", str(data), "--held-out", "12", "--out", str(out)]
    assert command.main([*arguments, "--minutes", "0"]) == 0
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["n"] == 0
    assert command.main(arguments) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    schemas, prose = report["ways"]["schemas"], report["ways"]["prose"]
    assert (schemas["tokens_at_1000"], schemas["without_any_token"]) == (0, 1)
    assert schemas["break_even_calls"]["median"] == 1
    assert prose["verified"]["right"] == 1
    assert prose["tokens_until_verified"] > report["interpreted"]["tokens_a_call"] > 0
    assert 1 < prose["break_even_calls"]["median"] < 100
    assert report["interpreted"]["right"]["right"] == 1
    assert report["published"]["break_even_calls"] == 17
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "The model is scripted" in text
    rows = (out / "transcripts" / "functions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 2
    assert json.loads(rows[1])["prose"]["spent"]["agreeing"]["asker"]["calls"] == 2


def test_without_the_data_it_is_said_how_it_is_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["run", "bfcl", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "fetch bfcl" in capsys.readouterr().err
