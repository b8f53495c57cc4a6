"""`sgdx --traffic`: what is drawn, what is counted, and that it goes on where it stopped; on services made for this."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.scenarios.sgdx_policies import ceiling, targets
from benchmarks.scenarios.sgdx_traffic import A_CLIENT, SHAPES, Services, Shape, draw, load

SLOTS = {
    0: [("city", "City of the shop"), ("price", "Price of the bread"), ("day", "Day of the order")],
    1: [("town", "Town that the shop is in"), ("cost", "What the bread costs"), ("date", "Date of the order")],
    2: [("location", "City where the shop is"), ("amount", "Price to pay for the bread"), ("when", "Day of the order")],
}
CITIES = ("Rome", "Oslo", "Lima", "Bern")


def service(number: int, variant: int) -> dict[str, Any]:
    rows = SLOTS[variant if variant in SLOTS else 1]
    names = [name for name, _ in rows]
    slots = [{"name": n, "description": d, "is_categorical": False, "possible_values": []} for n, d in rows]
    intent = {
        "name": f"Buy{variant or ''}",
        "description": f"Buy bread, kind {number}",
        "is_transactional": False,
        "required_slots": names[:1],
        "optional_slots": {names[2]: "any"},
        "result_slots": names,
    }
    return {"service_name": f"Bread_{number}", "description": "Bread", "slots": slots, "intents": [intent]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "sgd" / "dev"
    folder.mkdir(parents=True)
    for variant in range(6):
        services = [service(number, variant) for number in (1, 2, 3)]
        (folder / f"schema_v{variant}.json").write_text(json.dumps(services))
    calls = [
        {"service": f"Bread_{number}", "method": "Buy", "parameters": {"city": city}, "count": 1 + number,
         "results": [{"city": city, "price": f"{at}.50", "day": "2026-11-24"}]}
        for number in (1, 2, 3)
        for at, city in enumerate(CITIES)
    ]  # fmt: skip
    (folder / "calls.jsonl").write_text("".join(json.dumps(one) + "\n" for one in calls))
    return tmp_path


@pytest.fixture
def services(data: Path) -> Services:
    return load(data / "sgd" / "dev", 0)


def run(data: Path, *options: str) -> dict[str, Any]:
    out = data / "out"
    given = ["run", "sgdx", "--data", str(data), "--out", str(out), "--workers", "1", *options]
    assert command.main(given) == 0
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report


@pytest.mark.parametrize("shape", SHAPES)
def test_traffic_is_the_same_for_a_seed_and_another_for_another(services: Services, shape: Shape) -> None:
    drawn = [draw(services, shape=shape, number=50, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [each.at for each in drawn[0]] == list(range(len(drawn[0])))


def test_recorded_calls_come_as_often_as_they_were_made(services: Services) -> None:
    every = sum(sum(each) for each in services.counts.values())
    assert every == 4 * (2 + 3 + 4)
    asked = Counter(each.pair.service for each in draw(services, shape="recorded", number=every, seed=0))
    assert asked == {"Bread_1": 8, "Bread_2": 12, "Bread_3": 16}


def test_half_way_a_third_of_the_services_speak_other_words(services: Services) -> None:
    asked = draw(services, shape="churn", number=200, seed=0)
    assert {each.words for each in asked[:100]} == {0}
    changed = {each.pair.service for each in asked[100:] if each.words}
    assert len(changed) == 1
    assert all(bool(each.words) == (each.pair.service in changed) for each in asked[100:])
    for each in asked[100:]:
        if each.words:
            assert set(each.served.values()) == {name for name, _ in SLOTS.get(each.words, SLOTS[1])}


def test_in_the_long_tail_a_client_asks_a_method_once(services: Services) -> None:
    asked = draw(services, shape="long-tail", number=60, seed=0)
    assert max(Counter((each.client, each.pair.service) for each in asked).values()) == 1
    assert len({each.client for each in asked}) > len(asked) / A_CLIENT


def test_the_ceiling_leaves_out_what_a_verdict_takes(services: Services) -> None:
    asked = draw(services, shape="zipf", number=100, seed=0)
    places = Counter((each.pair.service, each.kind) for each in asked)
    assert ceiling(asked) == sum(max(0, number - 3) for number in places.values())


@pytest.mark.parametrize("shape", ["recorded", "churn"])
def test_ours_is_right_each_time_by_routines_up_to_the_ceiling_and_caches_are_not(data: Path, shape: str) -> None:
    report = run(data, "--traffic", shape, "--number", "400", "--policies", "nl_only,semantic_cache,ours")
    assert report["policies"].keys() == {"nl_only", "semantic_cache", "ours", "gold_adapter", "hindsight"}
    ours, words, cache = (report["policies"][name] for name in ("ours", "nl_only", "semantic_cache"))
    assert (ours["right"]["right"], ours["wrong_by_routine"], ours["silently_wrong"]["right"]) == (400, 0, 0)
    assert ours["routine_share_of_ceiling"] >= 0.97
    assert 0 < ours["usd"] < words["usd"]
    assert words["tiers"] == {"natural_language": 400}
    assert cache["wrong_hits_of_a_cache"] > 0
    assert cache["wrong_hits_of_a_cache"] == cache["silently_wrong"]["right"]
    assert report["policies"]["hindsight"]["usd"] <= ours["usd"]


def test_what_was_run_is_not_run_again_and_what_is_missing_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("--traffic", "zipf", "--number", "20", "--policies")
    first = run(data, *options, "ours")
    ran: list[str] = []
    from benchmarks.scenarios import sgdx_policies

    inner = sgdx_policies.run_job
    monkeypatch.setattr(sgdx_policies, "run_job", lambda job, tick: ran.append(job.policy) or inner(job, tick))
    second = run(data, *options, "ours,greedy")
    assert ran == ["greedy"]
    assert second["policies"]["ours"] == first["policies"]["ours"]


def test_rows_that_time_left_out_are_run_by_the_next_one(data: Path) -> None:
    options = ("--traffic", "zipf", "--number", "20", "--policies", "nl_only,ours")
    first = run(data, *options, "--minutes", "0")
    assert (first["whole"], list(first["policies"])) == (False, ["gold_adapter"])
    assert {each["kept"] for each in first["targets"].values()} == {None}
    second = run(data, *options)
    assert second["whole"]
    assert second["policies"].keys() == {"nl_only", "ours", "gold_adapter", "hindsight"}


@pytest.mark.parametrize(
    ("wrong", "asked", "of_ceiling", "kept"),
    [(0, 3000, 0.97, (True, True)), (0, 2999, 0.969, (None, False)), (1, 10, None, (False, None))],
)
def test_what_is_promised_is_held_against_the_row_of_ours(
    wrong: int, asked: int, of_ceiling: float | None, kept: tuple[bool | None, bool | None]
) -> None:
    ours = {"wrong_by_routine": wrong, "routine_share_of_ceiling": of_ceiling, "right": {"n": asked}}
    assert tuple(each["kept"] for each in targets(ours).values()) == kept


def test_a_recording_that_is_not_there_and_a_policy_that_is_none_are_said(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["run", "sgdx", "--data", str(data), "--out", str(data / "out"), "--traffic", "zipf", "--workers", "1"]
    assert command.main([*given, "--policies", "best"]) == 2
    assert command.main([*given, "--policies", "ours", "--model", "recorded"]) == 2
    assert "run it with a model first" in capsys.readouterr().err
