"""`lmos-router` and `routerbench`: what is scored is what was chosen, and nobody is scored by his own label."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.choosers import Offered, Receiver, by_labelled, by_search
from benchmarks.data import DataMissing
from benchmarks.scenarios import lmos_router, routerbench
from benchmarks.scenarios.lmos_router import Sentence, drawn
from benchmarks.scenarios.routerbench import figures, modules, read
from negotiator.models.scripted import ScriptedModel

OFFERED = [
    Offered("track_order", "Tracks an order."),
    Offered("cancel_order", "Cancels an order."),
    Offered("newsletter", "Subscribes to the newsletter or unsubscribes from it."),
]


@pytest.mark.anyio
async def test_words_decide_where_they_are_clear_and_say_nothing_where_not() -> None:
    receiver = Receiver(OFFERED)
    assert await receiver.where_clear("unsubscribe me from the newsletter") == "newsletter"
    assert await receiver.where_clear("my order") is None
    assert await receiver.by_rules("my order, which I want to cancel") == "cancel_order"
    assert await receiver.by_rules("zzz") is None
    await receiver.aclose()


@pytest.mark.anyio
async def test_the_model_is_asked_where_words_leave_it_open_and_alone_always() -> None:
    model = ScriptedModel({"choose_tool": {"tool": "cancel_order"}})
    receiver = Receiver(OFFERED, model)
    assert await receiver.by_rules("unsubscribe me from the newsletter") == "newsletter"
    assert model.calls == []
    assert await receiver.by_rules("my order") == "cancel_order"
    assert await receiver.by_model("unsubscribe me from the newsletter") == "cancel_order"
    assert len(model.calls) == 2
    await receiver.aclose()


@pytest.mark.anyio
async def test_search_finds_by_words_and_labelled_sentences_vote() -> None:
    assert await by_search(OFFERED)("track my order") == "track_order"
    assert await by_search(OFFERED)("zzz") is None
    labelled = [("where is my parcel", "track"), ("where is the parcel now", "track"), ("parcel broken", "complain")]
    assert await by_labelled(labelled)("the parcel, where is it") == "track"
    assert await by_labelled(labelled)("broken") == "complain"


def test_a_sample_keeps_the_shares_of_the_capabilities() -> None:
    sentences = [Sentence(f"{name} {n}", "a", name) for name, times in (("x", 60), ("y", 30)) for n in range(times)]
    taken = drawn(sentences, 30, seed=3)
    assert len({each.text for each in taken}) == 30
    assert sum(each.capability == "x" for each in taken) in range(19, 22)
    assert drawn(sentences, 30, seed=3) == taken
    assert drawn(sentences, 0, seed=3) == sentences


@pytest.fixture
def routing(tmp_path: Path) -> Path:
    """A small routing set: three capabilities of two agents, each sentence twice over in other words."""
    folder = tmp_path / "data" / "lmos_router"
    folder.mkdir(parents=True)
    specifications = [
        {
            "name": f"{agent}-agent",
            "description": f"It is about {agent}",
            "capabilities": [
                {"name": each.name, "description": each.description} for each in OFFERED if agent in each.description
            ],
        }
        for agent in ("order", "newsletter")
    ]
    (folder / "agentRoutingSpecs.json").write_text(json.dumps(specifications), encoding="utf-8")
    said = {
        "track_order": ("order-agent", ["tell me where it is", "tell where it is", "where it is, tell me now"]),
        "cancel_order": ("order-agent", ["please cancel it", "cancel it please", "cancel it now"]),
        "newsletter": ("newsletter-agent", ["newsletter no more", "no more newsletter", "no newsletter"]),
    }
    rows = [f'"{text}",{agent},{name}' for name, (agent, texts) in said.items() for text in texts]
    (folder / "train.csv").write_text("\n".join(["instruction,agent,intent", *rows, ""]), encoding="utf-8")
    return tmp_path / "data"


def test_the_report_has_each_way_with_its_interval_and_goes_on_where_it_stopped(routing: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["run", "lmos-router", "--data", str(routing), "--folds", "3", "--out", str(out)]
    assert command.main(arguments) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert set(report["ways"]) == {"where_clear", "rules", "search", "labelled"}
    assert report["ways"]["labelled"]["capabilities"]["n"] == 9
    assert report["ways"]["labelled"]["capabilities"]["right"] == 9
    assert report["ways"]["rules"]["agents"]["right"] >= report["ways"]["rules"]["capabilities"]["right"]
    assert report["published"]["LLM"]["agents_right"] == 0.964
    transcript = out / "transcripts" / "rules.jsonl"
    lines = transcript.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 10
    changed = json.loads(lines[1]) | {"chosen": "what only the file says"}
    transcript.write_text("\n".join([lines[0], json.dumps(changed)]) + "\n" + lines[2][:20], encoding="utf-8")
    assert command.main(arguments) == 0
    again = [json.loads(line) for line in transcript.read_text(encoding="utf-8").splitlines()]
    assert again[1]["chosen"] == "what only the file says"
    assert [row["text"] for row in again[2:]] == [json.loads(line)["text"] for line in lines[2:]]


def test_with_a_test_file_that_one_is_scored_by_the_sentences_of_the_other(routing: Path, tmp_path: Path) -> None:
    rows = "instruction,agent,intent\nwhere is it,order-agent,track_order\n"
    (routing / "lmos_router" / "test.csv").write_text(rows, encoding="utf-8")
    assert command.main(["run", "lmos-router", "--data", str(routing), "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (report["scored_on"], report["n"]) == ("test.csv", 1)
    assert report["ways"]["labelled"]["capabilities"]["right"] == 1


def test_in_folds_no_sentence_is_scored_by_itself(
    routing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr(
        lmos_router,
        "by_labelled",
        lambda labelled, _e: seen.append({text for text, _ in labelled}) or _says_texts(seen[-1]),
    )
    assert command.main(["run", "lmos-router", "--data", str(routing), "--folds", "3", "--out", str(tmp_path)]) == 0
    rows = [json.loads(line) for line in (tmp_path / "transcripts" / "labelled.jsonl").read_text().splitlines()[1:]]
    assert len(seen) == 3
    assert all(row["text"] not in row["chosen"].split("|") for row in rows)


def _says_texts(texts: set[str]) -> Any:
    async def choose(_text: str) -> str:
        return "|".join(sorted(texts))

    return choose


def test_without_the_data_it_is_said_where_it_is_to_be_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("lmos-router", "routerbench"):
        assert command.main(["run", name, "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "eclipse-lmos/lmos-router" in said
    assert "ulab-uiuc/AgentProtocols" in said


def scenario(name: str, **truth: str) -> dict[str, Any]:
    return {
        "id": name,
        "description": "Teams that do not know each other.",
        "modules_count": len(truth),
        "module": [
            {"name": f"module {at}", "agents": ["a"], "tasks": [protocol], "potential_issues": []}
            for at, protocol in enumerate(truth.values(), 1)
        ],
        "ground_truth": {
            str(at): {"module_protocol": protocol, "justification": "-"}
            for at, protocol in enumerate(truth.values(), 1)
        },
    }


def test_a_scenario_is_right_where_all_its_modules_are_and_of_the_first_level_where_any_is() -> None:
    def row(name: str, *, right: bool) -> dict[str, Any]:
        return {"scenario": name, "level": name[:2], "meant": "ANP", "chosen": "ANP" if right else None}

    rows = [row("L1-Q1", right=True), row("L1-Q1", right=False), row("L2-Q1", right=True), row("L2-Q1", right=False)]
    found = figures([*rows, row("L2-Q2", right=True)])
    assert (found["scenarios"]["right"], found["scenarios"]["n"]) == (2, 3)
    assert (found["modules"]["right"], found["modules"]["n"]) == (3, 5)
    assert found["levels"]["L2"]["scenarios"]["right"] == 1
    assert found["chosen_for"] == {"ANP": {"ANP": 3, "None": 2}}


def test_the_scenarios_are_read_in_the_form_that_is_documented(tmp_path: Path) -> None:
    path = tmp_path / "routerbench" / "data.json"
    path.parent.mkdir()
    path.write_text(json.dumps([scenario("L2-Q1", one="ANP", two="Agora")]), encoding="utf-8")
    asked = modules(read(path))
    assert [(each.level, each.meant) for each in asked] == [("L2", "ANP"), ("L2", "Agora")]
    assert asked[0].text == "Teams that do not know each other.\nmodule 1\nANP"
    assert modules(read(path), described=False)[1].text == "module 2\nAgora"
    assert command.main(["run", "routerbench", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert set(report["ways"]) == {"rules", "search"}
    assert report["ways"]["rules"]["modules"]["n"] == 2
    path.write_text('[{"id": "L1-Q1"}]', encoding="utf-8")
    with pytest.raises(DataMissing, match="description"):
        read(path)
    broken = scenario("L1-Q1", one="ANP")
    broken["ground_truth"] = {}
    path.write_text(json.dumps([broken]), encoding="utf-8")
    with pytest.raises(DataMissing, match="module 1"):
        modules(read(path))


def test_each_protocol_is_described_once() -> None:
    assert [each.name for each in routerbench.PROTOCOLS] == ["A2A", "ACP", "Agora", "ANP"]
