"""The town of agora-trace: its traffic, its model, its agents, its baselines and its report."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.baselines.caches import ExactCache, SemanticCache
from benchmarks.baselines.hindsight import Seen, best_in_hindsight
from benchmarks.baselines.policies import CONTENDERS
from benchmarks.plots import line_plot
from benchmarks.scenarios.agora_trace_oracle import oracle
from benchmarks.scenarios.agora_trace_report import figures, targets
from benchmarks.scenarios.agora_trace_town import MOST_HOPS, Done, Exchange, Town, Trail, said
from benchmarks.scenarios.agora_trace_traffic import Query, Traffic, draw
from benchmarks.scenarios.agora_trace_world import (
    KINDS,
    OFFERS,
    SERVER_MODELS,
    SERVERS,
    USER_KINDS,
    effects,
    expected,
    written,
)
from negotiator.clock import Deadline
from negotiator.errors import DeadlinePassed, ToolFailed
from negotiator.testing import VirtualClock

# --- the shape ---


def test_the_town_has_the_published_shape() -> None:
    assert (len(SERVERS), len(USER_KINDS)) == (15, 11)
    assert len([offer for offer in OFFERS if offer.kind in USER_KINDS]) == 25
    assert Counter(SERVER_MODELS.values()) == {"llama-3-405b": 4, "gemini-1.5-pro": 2}
    asked = {nested.server for offer in OFFERS for nested in offer.asks}
    assert asked == {"weather", "traffic", "delivery", "restaurant1", "restaurant3"}


@pytest.mark.parametrize("shape", ["pareto", "zipf", "uniform"])
@pytest.mark.parametrize("agents", [100, 1000])
def test_traffic_is_the_same_for_a_seed_and_has_a_query_for_each_user(shape: Any, agents: int) -> None:
    one, again = (draw(agents=agents, queries=10 * agents, shape=shape, seed=3) for _ in range(2))
    assert one == again != draw(agents=agents, queries=10 * agents, shape=shape, seed=4)
    assert len(one.queries) == 10 * agents
    assert one.users == agents * 85 // 100
    budgets = Counter(query.user for query in one.queries)
    assert len(budgets) == one.users
    assert all(len({q.kind for q in one.queries if q.user == user}) <= 3 for user in list(budgets)[:20])
    if shape == "pareto":
        assert budgets.most_common(1)[0][1] > 100 * sorted(budgets.values())[len(budgets) // 2] / 2


def test_fewer_queries_than_users_are_shared_out_to_the_busiest() -> None:
    assert len(draw(agents=1000, queries=50, shape="pareto", seed=0).queries) == 50


def test_answers_follow_from_questions_and_no_server_is_asked_in_a_circle() -> None:
    lots = random.Random(0)
    for query in draw(agents=100, queries=300, shape="uniform", seed=lots.randrange(99)).queries:
        answer = expected(query.server, query.kind, query.values)
        assert answer == expected(query.server, query.kind, query.values)
        assert answer.keys() <= KINDS[query.kind].gives.keys()
        transactional = KINDS[query.kind].effect == "transactional"
        assert bool([one for one in effects(query.server, query.kind, query.values) if one[1] == query.kind]) is (
            transactional
        )


# --- what is passed on ---


def trail(**changes: Any) -> Trail:
    return Trail(**{"deadline": Deadline.after(10, VirtualClock()), "usd": 1.0, **changes})


def test_a_question_in_a_circle_and_one_through_too_many_hands_are_cut() -> None:
    on_the_way = trail().onward("a", "x").onward("b", "x")
    with pytest.raises(ToolFailed, match="circle"):
        on_the_way.onward("a", "x")
    assert on_the_way.onward("a", "y").chain[-1] == ("a", "y")
    for number in range(MOST_HOPS - 2):
        on_the_way = on_the_way.onward(f"c{number}", "x")
    with pytest.raises(ToolFailed, match="hands"):
        on_the_way.onward("d", "x")


def test_a_budget_and_a_deadline_go_with_the_question() -> None:
    clock = VirtualClock()
    begun = trail(deadline=Deadline.after(10, clock), usd=0.5)
    begun.exchanges.append(Exchange("a", "x", usd=0.4))
    deeper = begun.onward("b", "x")
    assert deeper.exchanges is begun.exchanges
    assert deeper.deadline is begun.deadline
    deeper.exchanges.append(Exchange("b", "x", usd=0.2))
    with pytest.raises(ToolFailed, match="budget"):
        deeper.onward("c", "x")
    clock.advance(11)
    with pytest.raises(DeadlinePassed):
        trail(deadline=begun.deadline).onward("a", "x")


# --- the agents ---


def asked_often(server: str, kind: str, times: int, users: int = 2) -> Traffic:
    drawn = draw(agents=100, queries=1000, shape="uniform", seed=1)
    values = [query.values for query in drawn.queries if query.kind == kind]
    queries = tuple(Query(at, at % users, server, kind, values[at % len(values)]) for at in range(times))
    return replace(drawn, queries=queries)


async def run(policy: str, traffic: Traffic, cache: Any = None) -> tuple[Town, list[Done]]:
    lines: list[Done] = []
    town = Town(CONTENDERS[policy], traffic, oracle(), cache)
    await town.run(lines.append, lambda: None)
    return town, lines


@pytest.mark.anyio
@pytest.mark.parametrize("policy", ["ours", "structured_only"])
async def test_every_offer_of_the_town_is_answered_rightly(policy: str) -> None:
    drawn = draw(agents=100, queries=1000, shape="uniform", seed=2)
    first: dict[tuple[str, str], Query] = {}
    for query in drawn.queries:
        first.setdefault((query.server, query.kind), query)
    assert len(first) == 25
    queries = tuple(replace(query, at=at, user=0) for at, query in enumerate(first.values()))
    _, lines = await run(policy, replace(drawn, queries=queries))
    assert Counter(line.came_to for line in lines) == {"right": 25}, [line for line in lines if line.why]


@pytest.mark.anyio
async def test_nested_questions_are_paid_for_and_come_to_routines_too() -> None:
    _, lines = await run("ours", asked_often("ski_resort2", "rent_ski", 16))
    assert [line.came_to for line in lines] == ["right"] * 16
    assert lines[0].touched
    assert all(len(line.exchanges) == 3 for line in lines)
    assert not lines[-1].touched
    assert {each.tier for each in lines[-1].exchanges} == {"routine"}
    assert sum(each.calls for line in lines for each in line.exchanges if each.server == "weather") > 0


@pytest.mark.anyio
async def test_words_alone_never_learn_and_agoras_counts_wait() -> None:
    traffic = asked_often("weather", "query_weather", 14, users=1)
    _, lines = await run("nl_only", traffic)
    assert {each.tier for line in lines for each in line.exchanges} == {"natural_language"}
    _, lines = await run("agora_paper", traffic)
    assert [line.exchanges[0].tier for line in lines].count("natural_language") == 5
    _, lines = await run("agora_package", traffic)
    assert [line.exchanges[0].tier for line in lines].count("natural_language") == 10


@pytest.mark.anyio
async def test_a_server_of_agoras_paper_asks_back_after_ten_strangers() -> None:
    _, lines = await run("agora_paper", asked_often("weather", "query_weather", 14, users=14))
    words = [line.exchanges[0].tier == "natural_language" for line in lines]
    assert all(words), "each user came once, and nobody looks at a listing before the third time"
    town, _ = await run("agora_paper", asked_often("weather", "query_weather", 10, users=10))
    assert town.learned()[0] == 1


@pytest.mark.anyio
async def test_caches_answer_what_they_have_seen_and_the_semantic_one_what_it_has_not() -> None:
    weather = asked_often("weather", "query_weather", 12)
    _, exact = await run("nl_only", weather, ExactCache())
    assert {line.came_to for line in exact} == {"right"}
    _, semantic = await run("nl_only", weather, SemanticCache())
    assert "silently_wrong" in {line.came_to for line in semantic}
    _, booked = await run("nl_only", asked_often("hotel1", "book_room", 3, users=1), SemanticCache(threshold=0.0))
    assert [line.cached for line in booked] == [False] * 3, "what changes something is never answered from a cache"


# --- the report ---


def test_hindsight_takes_the_cheapest_choice_for_each_place() -> None:
    hot, cold, exact = ("s", "hot"), ("s", "cold"), ("s", "exact")
    words = {hot: [(1.0, 3)] * 100, cold: [(1.0, 3)] * 2, exact: [(1.0, 3)] * 5}
    seen = {
        hot: Seen(False, ((0.5, 2), (0.6, 1)), (2.0, 4)),
        cold: Seen(False, ((0.9, 2),), (9.0, 4)),
        exact: Seen(False, (), (0.0, 0)),
    }
    best = best_in_hindsight(words, [seen], shadows=3)
    assert (best[hot].tier, best[hot].usd, best[hot].calls, best[hot].touched) == ("routine", 3.5, 7, 3)
    assert (best[cold].tier, best[cold].usd) == ("structured", 1.8)
    assert (best[exact].tier, best[exact].usd, best[exact].touched) == ("routine", 0.0, 0)
    assert best_in_hindsight({cold: words[cold]}, [], shadows=3)[cold].tier == "natural_language"


def test_documents_of_both_kinds_are_not_mixed_into_a_price_that_nobody_paid() -> None:
    place = ("s", "k")
    askers = {place: Seen(True, ((0.1, 1),), (50.0, 9))}
    servers = {place: Seen(False, ((10.0, 9),), (0.0, 0))}
    best = best_in_hindsight({place: [(1.0, 3)] * 90}, [askers, servers], shadows=3)[place]
    assert (best.tier, best.usd) == ("structured", pytest.approx(9.0))


def test_figures_count_learning_and_nested_exchanges() -> None:
    lines = [
        {"came_to": "right", "exchanges": [exchange(calls=2, usd=0.5), exchange(learned_calls=1, learned_usd=0.25)]},
        {"came_to": "refused", "exchanges": []},
        {"came_to": "right", "exchanges": [exchange(learned_calls=1, learned_usd=0.25)]},
    ]
    tokens = {"gpt-4o": {"prompt": 10, "completion": 5, "calls": 4}}
    found = figures(lines, {"documents": 1, "routines": 2, "tokens": tokens})
    assert (found["usd"], found["model_calls"], found["llm_touched"], found["nested"]) == (1.0, 4, 1, 1)
    assert (found["right"], found["refused"], found["silently_wrong"], found["tokens"]) == (2, 1, 0, 15)


def exchange(**changes: Any) -> dict[str, Any]:
    nothing = {"server": "s", "kind": "k", "tier": "routine", "calls": 0, "usd": 0.0}
    return {**nothing, "learned_calls": 0, "learned_usd": 0.0, **changes}


def test_a_run_writes_its_report_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "agora-trace", "--seeds", "2", "--queries", "12", "--workers", "1", "--out", str(tmp_path)]
    command += ["--policies", "nl_only,exact_cache,ours"]
    assert main(command) == 0
    assert "| ours |" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    wanted = {
        "usd",
        "model_calls",
        "llm_touched_last_100",
        "right",
        "silently_wrong",
        "refused",
        "documents",
        "routines",
    }
    for name in ("nl_only", "exact_cache", "ours", "hindsight", "gold_adapter"):
        assert wanted <= report["policies"][name].keys()
        assert report["policies"][name]["right"] == 12
    assert report["policies"]["hindsight"]["usd"] <= report["policies"]["ours"]["usd"]
    assert report["n"] == 24
    assert (tmp_path / "touched.svg").read_text().startswith("<svg")
    transcripts = sorted((tmp_path / "transcripts").iterdir())
    before = {path: path.stat().st_mtime_ns for path in transcripts}
    transcripts[0].unlink()
    assert main(command) == 0
    assert {path for path in transcripts if path.stat().st_mtime_ns != before[path]} == {transcripts[0]}
    again = json.loads((tmp_path / "report.json").read_text())
    assert again["policies"] == report["policies"]


class Counting:
    """A model that always understands, and how often it was asked."""

    def __init__(self) -> None:
        self.inner, self.name, self.asked = oracle(), "counting", 0

    async def complete(self, *messages: Any, **options: Any) -> Any:
        self.asked += 1
        return replace(await self.inner.complete(*messages, **options), model=self.name)

    async def aclose(self) -> None:
        """There is nothing to let go of."""


def test_another_models_answers_are_kept_for_all_rows_and_the_table_replays_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Counting()
    monkeypatch.setattr("benchmarks.answers.open_model", lambda _name: model)
    command = ["run", "agora-trace", "--seeds", "1", "--sample", "4", "--out", str(tmp_path)]
    policies = ["--policies", "nl_only,exact_cache,ours"]
    assert main([*command, "--model", "local", "--policies", "nl_only"]) == 0
    in_words = model.asked
    assert in_words > 0
    assert main([*command, "--model", "local", "--policies", "nl_only,exact_cache"]) == 0
    assert model.asked == in_words, "what was asked in one row is not asked again in another"
    assert main([*command, "--model", "local", *policies]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["model"], report["queries"], report["n"]) == ("counting", 4, 4)
    assert report["policies"]["nl_only"]["model_calls"] == in_words
    asked = model.asked
    assert main([*command, "--model", "recorded", *policies]) == 0
    assert model.asked == asked
    again = json.loads((tmp_path / "report.json").read_text())
    assert (again["policies"], again["model"]) == (report["policies"], report["model"])
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(answers.read_text().splitlines(keepends=True)[:-1]))
    (tmp_path / "transcripts" / "ours-0.jsonl").unlink()
    (tmp_path / "transcripts" / "nl_only-0.jsonl").unlink()
    capsys.readouterr()
    assert main([*command, "--model", "recorded", *policies]) == 2
    assert "cannot be replayed" in capsys.readouterr().err
    assert main([*command[:-1], str(tmp_path / "empty"), "--model", "recorded", *policies]) == 2
    assert "run it with a model first" in capsys.readouterr().err


def test_a_sample_is_the_first_of_the_same_queries(tmp_path: Path) -> None:
    command = ["run", "agora-trace", "--seeds", "1", "--queries", "20", "--policies", "nl_only"]
    asked = []
    for number, options in enumerate(([], ["--sample", "6"])):
        out = tmp_path / str(number)
        assert main([*command, *options, "--out", str(out)]) == 0
        lines = (out / "transcripts" / "nl_only-0.jsonl").read_text().splitlines()[1:-1]
        asked.append([json.loads(line)["input"] for line in lines])
    assert asked[1] == asked[0][:6]


def test_a_run_whose_time_is_up_says_so_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Counting()
    monkeypatch.setattr("benchmarks.answers.open_model", lambda _name: model)
    command = ["run", "agora-trace", "--seeds", "1", "--sample", "3", "--policies", "nl_only", "--model", "local"]
    command += ["--out", str(tmp_path)]
    times = iter(range(100))
    monkeypatch.setattr("benchmarks.jobs.time.time", lambda: 60.0 * next(times))
    assert main([*command, "--minutes", "3"]) == 0
    assert "the next one, with the same --out, goes on" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["whole"], list(report["policies"])) == (False, ["gold_adapter"])
    before = model.asked
    assert before > 0
    assert main(command) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["whole"]
    assert report["policies"]["nl_only"]["model_calls"] == model.asked, "nothing was asked twice"
    assert model.asked > before


def test_what_is_promised_stands_in_the_report_with_what_came_of_it() -> None:
    rows: dict[str, Any] = {
        "ours": {"usd": 1.5, "llm_touched_last_100": 8.0, "silently_wrong": 0.2},
        "hindsight": {"usd": 1.0},
        "agora_paper": {"usd": 2.9},
    }
    found = targets(rows)
    assert {name: each["kept"] for name, each in found.items()} == {
        "ours_over_hindsight": True,
        "ours_without_predictions_over_hindsight": None,
        "ours_over_agora_paper": False,
        "ours_llm_touched_last_100": True,
        "ours_silently_wrong": False,
    }
    assert found["ours_over_hindsight"] == {"value": 1.5, "at_most": 1.6, "kept": True}


def test_a_policy_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "agora-trace", "--policies", "best", "--out", str(tmp_path)]) == 2
    assert "best" in capsys.readouterr().err


def test_a_plot_has_a_line_for_each_name_and_nothing_of_a_name_is_markup() -> None:
    drawn = line_plot("a < b", "x", "y", [1, 2, 3], {"one": [3, 2, 1], "<two>": [0, 0, 0]})
    assert drawn.count("<polyline") == 2
    assert "&lt;two&gt;" in drawn
    assert "a &lt; b" in drawn


def test_an_empty_error_is_none_and_nothing_else_that_is_empty_is() -> None:
    assert said("buy_tickets", {"status": "done", "error": ""}) == {"status": "done"}
    refused = {"status": "refused", "error": "sold out"}
    assert said("buy_tickets", refused) == refused
    assert said("suggest_restaurant", {"restaurant": ""}) == {"restaurant": ""}


def test_written_is_blind_to_the_order_of_members_only() -> None:
    assert written({"a": 1, "b": [2]}) == written({"b": [2], "a": 1})
    assert written({"a": 1}) != written({"a": "1"})
