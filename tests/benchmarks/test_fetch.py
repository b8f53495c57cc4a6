"""A data set comes from its home as it was pinned, or not at all."""

import base64
import dataclasses
import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import __main__ as command
from benchmarks import fetch_git
from benchmarks.data import DataMissing, data_directory
from benchmarks.fetch import DataSet, Source, fetch
from benchmarks.fetch_sgd import CALLS_A_METHOD, SGD, distinct
from benchmarks.progress import Progress
from benchmarks.scenarios.sgdx_data import load_pairs, split_directory
from tests.benchmarks.conftest import SPLITS, call, dialogues, schema

Home = Callable[..., DataSet]


def fetched(data_set: DataSet, data: Path) -> bool:
    return fetch(data_set, data, Progress(io.StringIO()), protocol="file")


def calls(data: Path, split: str) -> list[dict[str, Any]]:
    lines = (data / "sgd" / split / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_schemas_calls_and_licence_are_written_for_each_split(home: Home, tmp_path: Path) -> None:
    assert fetched(home(), tmp_path)
    for split in SPLITS:
        folder = tmp_path / "sgd" / split
        assert json.loads((folder / "schema_v0.json").read_text(encoding="utf-8")) == schema("")
        assert json.loads((folder / "schema_v5.json").read_text(encoding="utf-8")) == schema("_5")
        assert calls(tmp_path, split) == [
            {
                "service": "Weather_1",
                "method": "GetWeather",
                "parameters": {"city": "Rome"},
                "results": [{"city": "Rome", "sky": "sun"}],
                "count": 2,
            },
            {
                "service": "Weather_1",
                "method": "GetWeather",
                "parameters": {"city": "Oslo"},
                "results": [{"city": "Oslo", "sky": "snow"}, {"city": "Oslo", "sky": "fog"}],
                "count": 1,
            },
            {
                "service": "Weather_1",
                "method": "GetWeather",
                "parameters": {"city": "Lima"},
                "results": [],
                "count": 1,
            },
        ]
    assert (tmp_path / "sgd" / "LICENSE.txt").read_text(encoding="utf-8") == "the licence\n"
    assert "CC BY-SA 4.0" in (tmp_path / "sgd" / "README.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "sgd" / ".download").exists()


def test_of_train_so_many_calls_of_a_method_are_kept_and_of_dev_all(home: Home, tmp_path: Path) -> None:
    most = CALLS_A_METHOD["train"]
    many = dialogues(*(call(f"place {number}", []) for number in range(most + 5)))
    fetched(home({"train/dialogues_001.json": many, "dev/dialogues_001.json": many}), tmp_path)
    assert [one["parameters"]["city"] for one in calls(tmp_path, "train")] == [f"place {n}" for n in range(most)]
    assert len(calls(tmp_path, "dev")) == most + 7


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5))), st.integers(1, 4))
def test_distinct_calls_keep_their_order_count_all_and_stay_below_the_limit(made: list[Any], most: int) -> None:
    def all_calls() -> list[dict[str, Any]]:
        return [{"service": "s", "method": name, "parameters": {"n": number}, "results": []} for name, number in made]

    unlimited = distinct(all_calls(), None)
    assert [(one["method"], one["parameters"]["n"]) for one in unlimited] == list(dict.fromkeys(made))
    assert sum(one["count"] for one in unlimited) == len(made)
    limited = distinct(all_calls(), most)
    for name in "ab":
        of_method = [one for one in unlimited if one["method"] == name]
        assert [one for one in limited if one["method"] == name] == of_method[:most]


def test_what_was_fetched_is_what_the_benchmark_reads(home: Home, tmp_path: Path) -> None:
    fetched(home(), tmp_path)
    directory = split_directory(data_directory(str(tmp_path)), "dev")
    (pair,) = load_pairs(directory, variant=3, pairs=5, requests=2, seed=0)
    assert (pair.service, pair.method) == ("Weather_1", "GetWeather")
    assert pair.names == {"city": "city_3", "sky": "sky_3"}
    assert set(pair.client_takes["properties"]) == {"city_3"}


def test_the_manifest_names_every_written_file_and_what_it_was_made_of(home: Home, tmp_path: Path) -> None:
    data_set = home()
    fetched(data_set, tmp_path)
    folder = tmp_path / "sgd"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["commit"] == data_set.commit
    recorded = {path: digest for part in manifest["parts"].values() for path, digest in part["files"].items()}
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
    assert recorded == {path: sha256(folder / path) for path in written}
    source = "dev/dialogues_002.json"
    assert manifest["parts"]["dev"]["made_of"][source] == sha256(tmp_path / "home" / source)


def test_a_second_fetch_checks_and_needs_no_home(home: Home, tmp_path: Path) -> None:
    data_set = home()
    fetched(data_set, tmp_path)
    shutil.rmtree(tmp_path / "home")
    assert not fetched(data_set, tmp_path)


def test_a_damaged_file_is_made_again(home: Home, tmp_path: Path) -> None:
    data_set = home()
    fetched(data_set, tmp_path)
    damaged = tmp_path / "sgd" / "dev" / "calls.jsonl"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-10])
    assert fetched(data_set, tmp_path)
    assert damaged.read_bytes() == whole


def test_nothing_but_what_was_recorded_is_written_later(home: Home, tmp_path: Path) -> None:
    data_set = home()
    fetched(data_set, tmp_path)
    (tmp_path / "sgd" / "dev" / "calls.jsonl").unlink()
    changed = dataclasses.replace(data_set, parts={**data_set.parts, "dev": lambda _: {"dev/calls.jsonl": b"other"}})
    with pytest.raises(DataMissing, match="recorded when it was first fetched"):
        fetched(changed, tmp_path)
    assert not (tmp_path / "sgd" / "dev" / "calls.jsonl").exists()


def test_what_differs_from_its_pin_is_not_written(home: Home, tmp_path: Path) -> None:
    pinned = dataclasses.replace(home(), pinned={"dev/schema_v3.json": "0" * 64})
    with pytest.raises(DataMissing, match=r"pinned for dev/schema_v3\.json"):
        fetched(pinned, tmp_path)
    assert not (tmp_path / "sgd" / "dev").exists()


def test_a_commit_that_the_home_does_not_have_is_not_replaced_by_another(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="could not be fetched"):
        fetched(dataclasses.replace(home(), commit="1" * 40), tmp_path)
    assert not (tmp_path / "sgd" / "manifest.json").exists()


def test_a_stopped_fetch_goes_on_without_downloading_again(home: Home, tmp_path: Path) -> None:
    data_set = home()
    made: list[str] = []

    def counting(name: str, *, stops: bool = False) -> Callable[[Source], Mapping[str, bytes]]:
        def part(source: Source) -> Mapping[str, bytes]:
            if stops:
                raise KeyboardInterrupt
            made.append(name)
            return data_set.parts[name](source)

        return part

    parts = {name: counting(name) for name in data_set.parts}
    with pytest.raises(KeyboardInterrupt):
        fetched(dataclasses.replace(data_set, parts=parts | {"train": counting("train", stops=True)}), tmp_path)
    assert made == ["licence", "dev"]
    shutil.rmtree(tmp_path / "home")
    assert fetched(dataclasses.replace(data_set, parts=parts), tmp_path)
    assert made == ["licence", "dev", "train", "test"]


@pytest.mark.parametrize("limit", ["MAX_FILE", "MAX_FILES", "MAX_DOWNLOAD"])
def test_a_home_that_sends_too_much_is_refused(
    limit: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_git, limit, 100)
    with pytest.raises(DataMissing, match="not used"):
        fetched(home(), tmp_path)
    assert not (tmp_path / "sgd" / "manifest.json").exists()


def test_only_https_is_spoken(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="transport 'file' not allowed"):
        fetch(home(), tmp_path, Progress(io.StringIO()))


def test_dialogues_that_are_no_json_are_named(home: Home, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"dev/dialogues_002\.json is not JSON"):
        fetched(home({"dev/dialogues_002.json": "{"}), tmp_path)


def test_the_command_says_so_and_ends_in_2_where_the_home_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    nowhere = dataclasses.replace(SGD, home="https://127.0.0.1:9/sgd")
    monkeypatch.setitem(command.DATA_SETS, "sgd", nowhere)
    assert command.main(["fetch", "sgd", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "https://127.0.0.1:9/sgd" in said
    assert "needs the network" in said


def test_the_command_wants_to_know_where_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NEGOTIATOR_DATA", raising=False)
    assert command.main(["fetch", "sgd"]) == 2
    assert "--data" in capsys.readouterr().err


def test_the_command_wants_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataMissing, match="git is needed"):
        fetched(SGD, tmp_path)


def test_the_home_is_public_and_pinned_by_a_whole_commit() -> None:
    for data_set in command.DATA_SETS.values():
        if data_set.home.startswith("npm:"):
            algorithm, _, digest = data_set.commit.partition("-")
            assert (algorithm, len(base64.b64decode(digest))) == ("sha512", 64)
            assert data_set.home[-1].isdigit(), "with its version"
        elif data_set.home.startswith("pypi:"):
            algorithm, _, digest = data_set.commit.partition("-")
            assert (algorithm, len(bytes.fromhex(digest))) == ("sha256", 32)
            assert re.search(r"==\d", data_set.home), "with its version"
        else:
            assert data_set.home.startswith("https://")
            assert len(bytes.fromhex(data_set.commit)) == 20
        assert all(len(bytes.fromhex(digest)) == 32 for digest in data_set.pinned.values())


def test_the_pins_are_those_of_the_data_on_this_machine(data_dir: Path) -> None:
    found = {path for path in SGD.pinned if (data_dir / "sgd" / path).is_file()}
    if not found:
        pytest.skip("no SGD schemas under the data folder")
    assert {path: sha256(data_dir / "sgd" / path) for path in found} == {path: SGD.pinned[path] for path in found}
