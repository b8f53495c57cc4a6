"""Two agents meet: what they are shown of each other is what the condition says, and what is counted is what was done."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.errands import Errand, Gold, of_pair, sgd_errands
from benchmarks.meeting import CONDITIONS, SERVER, Condition, Meeting, Met
from benchmarks.scenarios import negotiation
from benchmarks.scenarios.negotiation_report import REASONS, figures, paired, reason
from benchmarks.scenarios.sgdx_data import split_directory
from negotiator.models.base import Completion, Model
from negotiator.models.none import NoModel
from negotiator.models.scripted import ScriptedModel
from tests.benchmarks.test_mutants import PAIR, call

ABOUT = {
    "start": "where the journey begins",
    "end": "where the journey ends",
    "seats": "how many seats",
    "stop": "where to change trains",
    "fare": "what the ticket costs",
    "line": "which train it is",
}


def described(part: Any) -> Any:
    """The schema, each field with what it is about, in the same words in both vocabularies."""
    if not isinstance(part, dict):
        return part
    names = {theirs: ours for ours, theirs in PAIR.names.items()}
    made = {word: described(value) for word, value in part.items()}
    for name, field in made.get("properties", {}).items():
        about = ABOUT.get(names.get(name, name))
        made["properties"][name] = field if about is None else {**field, "description": about}
    return made


TRAIN = replace(
    PAIR,
    takes=described(PAIR.takes),
    gives=described(PAIR.gives),
    client_takes=described(PAIR.client_takes),
    client_gives=described(PAIR.client_gives),
)
BOOKING = replace(
    TRAIN,
    method="BookTrain",
    description="Book a seat in a train",
    client_description="Reserve a place in a train",
    transactional=True,
)
ERRAND = of_pair(TRAIN, build=6, variant=1, besides=[BOOKING])


async def meet(condition: Condition, errand: Errand = ERRAND, models: tuple[Model, Model] | None = None) -> Met:
    gold = Gold()
    async with Meeting(errand, condition, models or (gold.model, gold.model), gold=gold) as meeting:
        return await meeting.run()


@pytest.mark.anyio
@pytest.mark.parametrize("condition", CONDITIONS)
async def test_with_models_that_always_understand_all_is_agreed_verified_and_right(condition: Condition) -> None:
    met = await meet(condition)
    assert met.protocol_hash is not None
    assert met.verified
    assert [each["came_to"] for each in met.held_out] == ["right"] * 4
    assert reason(row_of(met, condition)) is None


@pytest.mark.anyio
@pytest.mark.parametrize("condition", CONDITIONS)
async def test_only_the_schemas_of_the_condition_go_over_the_wire(condition: Condition) -> None:
    gold = Gold()
    async with Meeting(ERRAND, condition, (gold.model, gold.model), gold=gold) as meeting:
        seen: list[dict[str, Any]] = []
        server, inner = meeting.world.memory._agents, meeting.server.handler()

        async def watched(wire: Any) -> Any:
            if wire.body:
                seen.append(json.loads(wire.body))
            return await inner(wire)

        standing = server[SERVER]
        server[SERVER] = watched if condition == "both" else replace(standing, handler=watched)
        met = Met()
        gold.errand = ERRAND
        await meeting.agree(met)
    openings = [body["body"] for body in seen if "body" in body and "opening" in json.dumps(body["body"])]
    reached = [json.loads(each) if isinstance(each, str) else each for each in openings]
    if condition == "both":
        assert all("whence" in json.dumps(each["intent"]["input_schema"]) for each in reached)
    else:
        assert all("whence" not in json.dumps(each) for each in reached)
    assert met.protocol_hash is not None
    text = meeting.asker.engine.documents.get(met.protocol_hash)
    assert text is not None
    assert ("## Annex" in text.text) == (condition != "descriptions")
    assert met.offered == (["FindTrain"] if condition == "one" else [])


@pytest.mark.anyio
async def test_without_models_rules_agree_on_what_they_are_sure_of_and_nothing_else() -> None:
    met = await meet("both", models=(NoModel(), NoModel()))
    assert met.protocol_hash is None
    assert reason(row_of(met, "both")) == "no_fit"
    same = replace(PAIR, client_takes=PAIR.takes, client_gives=PAIR.gives, names={name: name for name in PAIR.names})
    met = await meet("both", of_pair(same, build=6, variant=0), (NoModel(), NoModel()))
    assert met.verified
    assert [each["tier"] for each in met.held_out] == ["routine"] * 4
    assert met.used().calls == 0


@pytest.mark.anyio
@pytest.mark.parametrize(("lost", "exchanges", "word"), [("write_receiver", 1, "server_unverified"), ("", 3, None)])
async def test_no_exchange_is_made_for_a_routine_that_will_not_come_any_more(
    lost: str, exchanges: int, word: str | None
) -> None:
    code = {name: "pass\n" if name == lost else source for name, source in ERRAND.code.items()}
    met = await meet("descriptions", replace(ERRAND, code=code))
    assert len(met.building) == exchanges
    assert reason(row_of(met, "descriptions")) == word


class Slow:
    """A model on a machine that is busy with something else."""

    name = "slow"

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    async def complete(self, *messages: Any, **options: Any) -> Completion:
        made = await self.inner.complete(*messages, **options)
        return replace(made, usage=replace(made.usage, seconds=590.0))

    async def aclose(self) -> None:
        """There is nothing to let go of."""


@pytest.mark.anyio
@pytest.mark.parametrize("condition", CONDITIONS)
async def test_a_slow_machine_is_no_reason_for_a_failure(condition: Condition) -> None:
    gold = Gold()
    slow = Slow(gold.model)
    async with Meeting(ERRAND, condition, (slow, slow), gold=gold) as meeting:
        met = await meeting.run()
    assert met.verified
    assert met.used().seconds > 3_000
    assert reason(row_of(met, condition)) is None


@pytest.mark.anyio
async def test_a_model_that_takes_no_document_is_told_from_one_that_cannot_write_code() -> None:
    nothing = {"tier": "natural_language", "protocol_hash": "none", "reason": "it is about something else"}
    declines = await meet("descriptions", models=(ScriptedModel({"plan": nothing}), NoModel()))
    assert reason(row_of(declines, "descriptions")) == "planner_declined"
    gold = Gold()
    gold.errand = ERRAND
    plan = gold.model._by_purpose["plan"]  # type: ignore[index]
    writes = ScriptedModel({"plan": plan, "write_sender": "I would rather not."})
    assert reason(row_of(await meet("descriptions", models=(writes, NoModel())), "descriptions")) == "no_code"


@pytest.mark.anyio
async def test_a_wrong_answer_and_a_call_of_another_tool_are_wrong() -> None:
    gold = Gold()
    async with Meeting(ERRAND, "both", (gold.model, gold.model), gold=gold) as meeting:
        met = await meeting.run()
        exchange = ERRAND.held_out[0]
        assert (await meeting.ask(exchange))["came_to"] == "right"
        assert (await meeting.ask(replace(exchange, answer={"results": []})))["came_to"] == "wrong"
        assert (await meeting.ask(replace(exchange, arguments=ERRAND.held_out[1].arguments)))["came_to"] == "wrong"
        assert met.spent["held_out"]["asker"]["calls"] == 0


def row_of(met: Met, condition: str) -> dict[str, Any]:
    return {
        "pair": "one", "tool": "FindTrain", "condition": condition, "protocol_hash": met.protocol_hash,
        "why_not": met.why_not, "offered": met.offered, "asker": met.asker, "server": met.server,
        "asked": met.asked, "held_out": met.held_out, "verified": met.verified, "rounds": met.rounds,
        "spent": met.spent,
    }  # fmt: skip


def row(**changed: Any) -> dict[str, Any]:
    served = {"state": "serving"}
    usage = {"calls": 2, "prompt_tokens": 900, "completion_tokens": 100, "seconds": 3.0, "usd": 0.0}
    made: dict[str, Any] = {
        "pair": "one", "tool": "t", "condition": "both", "protocol_hash": "sha256:1", "why_not": "", "offered": ["t"],
        "asker": served, "server": served, "asked": {"asker": {}, "server": {}}, "verified": True, "rounds": 2,
        "held_out": [{"came_to": "right", "tier": "routine", "peer_tier": "routine"}],
        "spent": {"agreeing": {"asker": usage | {"calls": 0}, "server": usage | {"calls": 0}}, "building": {"asker": usage}},
    }  # fmt: skip
    made |= changed
    return made | {"reason": reason(made)}


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, None),
        ({"held_out": [{"came_to": "refused"}]}, "wrong"),
        ({"verified": False, "asker": None}, "asker_unverified"),
        ({"verified": False, "server": {"state": "candidate"}}, "server_unverified"),
        ({"why_not": "BudgetSpent: the budget of tokens is spent"}, "cap"),
        ({"why_not": "ModelMisspoke: it"}, "model"),
        ({"offered": ["u"], "why_not": "NotPossible: what the peer offers does not fit: x"}, "wrong_tool"),
        ({"why_not": "NotPossible: what the peer offers does not fit: no routine could be written: x"}, "no_code"),
        (
            {"why_not": "NotPossible: what the peer offers does not fit: the routine fails on examples"},
            "fails_on_examples",
        ),
        ({"why_not": "NotPossible: the peer says: no safe tool offered here does this", "offered": []}, "no_tool"),
        ({"why_not": "NotPossible: what the peer offers does not fit: /x has no counterpart"}, "no_fit"),
        ({"why_not": "PeerMisspoke: not a message"}, "peer"),
        ({"why_not": "SandboxUnavailable: -"}, "other"),
    ],
)
def test_each_failure_has_one_word_of_the_fixed_list(changed: dict[str, Any], word: str | None) -> None:
    if changed.get("why_not"):
        changed = {"protocol_hash": None, "verified": False, **changed}
    assert row(**changed)["reason"] == word
    assert word is None or word in REASONS


def test_shares_are_of_all_pairs_and_rules_alone_have_a_column_of_their_own() -> None:
    model = {"asker": {"calls": 1, "prompt_tokens": 1, "completion_tokens": 1, "seconds": 1.0, "usd": 0.0}}
    found = figures(
        [
            row(),
            row(spent={"agreeing": model}),
            row(protocol_hash=None, verified=False, why_not="PeerMisspoke: x", held_out=[]),
            row(spent={"agreeing": {}, "building": {}}, held_out=[{"came_to": "wrong"}]),
        ],
        "gpt-5-mini",
    )
    told = {name: found[name]["right"] for name in found if isinstance(found[name], dict) and "right" in found[name]}
    assert told == {
        "agreed": 3, "agreed_by_rules_alone": 2, "verified": 3, "verified_by_rules_alone": 1,
        "agreed_verified_and_right": 2, "held_out_right": 2, "held_out_by_routines": 2,
    }  # fmt: skip
    assert {found[name]["n"] for name in ("agreed", "verified", "agreed_verified_and_right")} == {4}
    assert found["reasons"] == {"peer": 1, "wrong": 1}
    assert found["until_verified"]["usd"]["mean"] > found["agreeing"]["usd"]["mean"] > 0


def test_pairs_are_compared_with_themselves_under_the_other_condition() -> None:
    good, bad = row(), row(held_out=[{"came_to": "wrong"}])
    assert paired({"both": [good, good, bad], "one": [good, bad, bad]}) == {
        "both/one": {"good_in_each": 1, "both_alone": 1, "one_alone": 0, "neither": 1}
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A split of one service with one method and 30 recorded calls, in two vocabularies."""
    folder = tmp_path / "data" / "sgd" / "dev"
    folder.mkdir(parents=True)
    for variant, names in ((0, ["start", "end", "fare", "line"]), (2, ["whence", "whither", "price", "service"])):
        about = ["where the journey begins", "where the journey ends", "what it costs", "which train it is"]
        slots = [
            {"name": name, "description": words, "is_categorical": False, "possible_values": []}
            for name, words in zip(names, about, strict=True)
        ]
        intent = {
            "name": "FindTrain", "description": "Find a train", "is_transactional": False,
            "required_slots": names[:2], "optional_slots": {}, "result_slots": names[2:],
        }  # fmt: skip
        service = {"service_name": "Trains_1", "description": "Trains", "slots": slots, "intents": [intent]}
        (folder / f"schema_v{variant}.json").write_text(json.dumps([service]), encoding="utf-8")
    lines = []
    for number in range(30):
        made = call(number)
        parameters = {"start": made["parameters"]["start"], "end": made["parameters"]["end"]}
        results = [{"fare": each["fare"], "line": each["line"]} for each in made["results"]]
        lines.append(json.dumps({"service": "Trains_1", "method": "FindTrain", "parameters": parameters,
                                 "results": results, "count": 1}))  # fmt: skip
    (folder / "calls.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "data"


def test_the_command_writes_its_report_and_goes_on_where_it_stopped(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["run", "negotiation", "--data", str(data), "--variants", "2", "--pairs", "1", "--held-out", "3"]
    arguments += ["--out", str(out)]
    assert command.main([*arguments, "--minutes", "0"]) == 0
    first = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (first["whole"], first["conditions"]["both"]["pairs"]) == (False, 0)
    assert command.main(arguments) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["whole"]
    assert report["models"] == {"asker": "scripted", "server": "scripted"}
    assert [each["agreed_verified_and_right"]["right"] for each in report["conditions"].values()] == [1, 1, 1]
    assert "stands for one that always understands" in (out / "report.md").read_text(encoding="utf-8")
    assert (out / "agreements.svg").read_text(encoding="utf-8").startswith("<svg")
    transcript = out / "transcripts" / "one.jsonl"
    before = transcript.read_text(encoding="utf-8")
    transcript.write_text(before.replace('"rounds": 2', '"rounds": 7'), encoding="utf-8")
    assert command.main(arguments) == 0
    again = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert again["conditions"]["one"]["rounds"]["mean"] == 7


def test_what_a_model_said_is_recorded_and_the_table_replays_without_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gold = Gold()
    gold.model._name = "local/stand-in"

    class Told(Meeting):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **{**options, "gold": gold})

    monkeypatch.setattr("benchmarks.answers.open_model", lambda _name: gold.model)
    monkeypatch.setattr(negotiation, "Meeting", Told)
    out = tmp_path / "out"
    arguments = ["run", "negotiation", "--data", str(data), "--variants", "2", "--pairs", "1", "--held-out", "3",
                 "--conditions", "descriptions", "--out", str(out)]  # fmt: skip
    assert command.main([*arguments, "--model-a", "local/x", "--model-b", "local/x"]) == 0
    told = json.loads((out / "report.json").read_text(encoding="utf-8"))
    asked = len(gold.model.calls)
    assert told["conditions"]["descriptions"]["until_verified"]["model_calls"]["mean"] == asked
    monkeypatch.setattr(negotiation, "Meeting", Meeting)
    (out / "transcripts" / "descriptions.jsonl").unlink()
    assert command.main([*arguments, "--model-a", "recorded", "--model-b", "recorded"]) == 0
    replayed = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert len(gold.model.calls) == asked
    assert replayed["conditions"] == told["conditions"]
    assert replayed["models"] == told["models"] == {"asker": "local/stand-in", "server": "local/stand-in"}


def test_sixty_pairs_are_drawn_from_dev_with_calls_enough(data_dir: Path) -> None:
    directory = split_directory(data_dir, "dev")
    errands = sgd_errands(directory, variants=[1, 2, 3, 4, 5], count=60, build=6, held_out=20, seed=0)
    assert len({each.name for each in errands}) == 60
    assert all((len(each.build), len(each.held_out)) == (6, 20) for each in errands)
    for each in errands:
        calls = [each.meant(one.arguments) for one in (*each.build, *each.held_out)]
        assert len(set(calls)) == 26, "no call that is judged was built on"


def test_the_command_needs_no_more_than_its_arguments() -> None:
    parser = argparse.ArgumentParser()
    negotiation.add_arguments(parser)
    given = parser.parse_args([])
    assert (given.pairs, given.held_out, given.model_a, given.model_b) == (60, 20, "scripted", "scripted")
