"""The benchmark counts what it says it counts."""

import dataclasses
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.data import DataMissing, data_directory
from benchmarks.fetch import DataSet, fetch
from benchmarks.progress import Progress
from benchmarks.scenarios.sgdx import Result, totals
from benchmarks.scenarios.sgdx_data import MAX_ROWS, Pair, load_pairs, split_directory


def pair(service: str, *, calls: tuple[dict[str, object], ...] = ()) -> Pair:
    return Pair(
        service=service,
        method="Find",
        description="",
        takes={},
        gives={},
        client_description="",
        client_takes={},
        client_gives={},
        transactional=False,
        names={"city": "town", "sky": "weather"},
        calls=calls,
    )


def test_a_run_reports_each_pair_and_its_requests(
    home: Callable[..., DataSet], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(home(), tmp_path, Progress(io.StringIO()), protocol="file")
    options = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--model", "none", "--requests", "3"]
    assert command.main(["run", "sgdx", *options]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    (only,) = report["pairs"]
    assert (only["service"], only["method"], only["model_calls"]) == ("Weather_1", "GetWeather", 0)
    assert sum(sum(count.values()) for count in only["requests"].values()) == 3
    assert sum(count.get("wrong", 0) for count in only["requests"].values()) == 0
    assert report["model"] == "none"
    assert "Weather_1 GetWeather" in capsys.readouterr().out


def test_the_right_answer_is_the_recorded_one_in_the_clients_words() -> None:
    rows = [{"city": "Rome", "sky": f"sky {number}"} for number in range(MAX_ROWS + 2)]
    call = {"parameters": {"city": "Rome"}, "results": rows}
    one = pair("Weather_1", calls=(call,))
    assert one.ask(call) == {"town": "Rome"}
    assert one.expected(call) == {
        "results": [{"town": "Rome", "weather": f"sky {number}"} for number in range(MAX_ROWS)]
    }


def test_a_default_that_is_given_means_what_one_that_is_not_given_means() -> None:
    one = dataclasses.replace(pair("Buses_1"), defaults={"seats": "1"})
    assert one.meant({"to": "Rome", "seats": "1"}) == one.meant({"to": "Rome"})
    assert one.meant({"to": "Rome", "seats": "2"}) != one.meant({"to": "Rome"})


def test_the_share_of_right_answers_leaves_natural_language_and_refusals_apart() -> None:
    first, second = Result(pair("A"), tier="routine", agreed=True), Result(pair("B"), tier="structured", agreed=True)
    first.counts["routine"] = Counter(right=5)
    first.counts["natural_language"] = Counter(wrong=4, right=1)
    second.counts["structured"] = Counter(right=2, wrong=1, refused=7)
    sums = totals([first, second])
    assert sums["right_share_structured_and_routine"] == 0.875
    assert sums["right_share_natural_language"] == 0.2
    assert (sums["wrong_by_routine"], sums["reached_routine"], sums["agreed"], sums["services"]) == (0, 1, 2, 2)


def test_a_run_without_data_says_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["run", "sgdx", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "python -m benchmarks fetch sgd" in capsys.readouterr().err
    with pytest.raises(DataMissing, match="fetch sgd"):
        data_directory(str(tmp_path / "absent"))


def test_the_same_seed_takes_the_same_pairs(data_dir: Path) -> None:
    try:
        directory = split_directory(data_dir, "dev")
    except DataMissing as missing:
        pytest.skip(str(missing))
    taken = [load_pairs(directory, variant=3, pairs=12, requests=10, seed=0) for _ in range(2)]
    assert taken[0] == taken[1]
    assert len(taken[0]) == 12
    assert len({one.service for one in taken[0]}) >= 6
    for one in taken[0]:
        assert set(one.client_takes["properties"]) == {one.names[name] for name in one.takes["properties"]}
        assert all(set(call["parameters"]) <= set(one.takes["properties"]) for call in one.calls)
