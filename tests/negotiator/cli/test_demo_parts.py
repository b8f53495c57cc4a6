"""What the demo counts, asks and shows."""

from typing import Any

import pytest

from negotiator.cli.console import Console
from negotiator.cli.demo import story
from negotiator.cli.demo.exchanges import PRICED_AS, Exchange, Summary, priced_as
from negotiator.cli.demo.meter import Metered, less
from negotiator.cli.demo.play import Side, SideFailed
from negotiator.cli.demo.show import Show, news_of
from negotiator.clock import Deadline, SystemClock
from negotiator.errors import ModelUnavailable
from negotiator.models import Message, ScriptedModel, price_of
from negotiator.models.base import Usage


def _exchange(tier: str = "routine", peer_tier: str = "routine", **more: Any) -> Exchange:
    usual: dict[str, Any] = {
        "phase": "learning",
        "usage": Usage(),
        "usd": 0.0,
        "ms": 1.0,
        "reason": "why",
        "right": True,
        "protocol_hash": "sha256:" + "a" * 64,
    }
    return Exchange(tier=tier, peer_tier=peer_tier, **(usual | more))


def _summary(*exchanges: Exchange, after_routine: int | None = 0, after_restart: int | None = 0) -> Summary:
    return Summary(
        model="scripted",
        exchanges=list(exchanges),
        calls_after_routine=after_routine,
        calls_after_restart=after_restart,
        kept={},
        usd_at=PRICED_AS,
    )


def test_requests_differ_and_each_has_one_right_answer() -> None:
    for same_words in (False, True):
        task = story.task(same_words=same_words)
        asked = [story.request(number, same_words=same_words) for number in range(101)]
        assert len({str(each) for each in asked}) == 101
        for each in asked:
            task.input.check(each)
            task.output.check(story.answer(each))
    # More than one answer, or a routine that always says the same would be right.
    assert len({str(story.answer(each)) for each in asked}) > 10


def test_the_two_sides_agree_on_no_name_but_mean_the_same() -> None:
    ours, theirs = story.request(7, same_words=False), story.request(7, same_words=True)
    assert ours.keys().isdisjoint(theirs)
    right, also = story.answer(ours), story.answer(theirs)
    assert right == {"temperature_f": also["celsius"] * 1.8 + 32, "conditions": also["sky"]}


@pytest.mark.parametrize(
    ("tier", "peer_tier", "lower"),
    [
        ("routine", "routine", "routine"),
        ("routine", "structured", "structured"),
        ("natural_language", "routine", "natural_language"),
        ("routine", "unknown", "unknown"),
    ],
)
def test_the_final_tier_is_the_lower_of_the_two(tier: str, peer_tier: str, lower: str) -> None:
    assert _exchange(tier, peer_tier).final_tier == lower


def test_success_is_routines_on_both_sides_and_not_one_call_more() -> None:
    words = _exchange("natural_language", "natural_language", usage=Usage(calls=3), right=False)
    assert _summary(words, _exchange(), _exchange(phase="restart")).good
    assert not _summary(_exchange(), after_routine=1).good
    assert not _summary(_exchange(), after_restart=1).good
    assert not _summary(words, after_routine=None, after_restart=None).good
    assert not _summary(_exchange(), _exchange("structured", "routine", phase="restart")).good
    assert not _summary(_exchange(), _exchange(phase="further", right=False), _exchange(phase="restart")).good
    assert not _summary(_exchange("routine", "routine", right=False), _exchange(phase="restart")).good


def test_a_failed_exchange_is_shown_as_one() -> None:
    failed = Exchange.of(
        "learning",
        {"error": {"code": "peer_failed", "message": "no"}, "seconds": 2.0},
        usage=Usage(calls=2, prompt_tokens=10),
        right=False,
        usd_at=PRICED_AS,
    )
    facts = failed.to_json(PRICED_AS)
    assert (facts["tier"], facts["peer_tier"], facts["error"]) == ("none", "unknown", "peer_failed")
    assert (facts["model_calls"], facts["tokens"], facts["ms"]) == (2, 10, 2000)
    assert failed.final_tier == "none"


def test_money_is_at_the_serving_models_price_or_at_a_named_one() -> None:
    assert priced_as("openai/gpt-5-mini") == "openai/gpt-5-mini"
    for free in ("local", "local/some.gguf", "scripted", "none", "openai/nobody-knows-it"):
        assert priced_as(free) == PRICED_AS
    exchange = Exchange.of(
        "learning",
        {"tier": "structured", "peer_tier": "routine", "seconds": 0.1, "reason": "", "protocol_hash": None},
        usage=Usage(calls=1, prompt_tokens=1_000, completion_tokens=100),
        right=True,
        usd_at=PRICED_AS,
    )
    assert exchange.usd == price_of(PRICED_AS, 1_000, 100)


@pytest.mark.anyio
async def test_the_meter_counts_answers_and_failures_by_what_they_were_for() -> None:
    metered = Metered(ScriptedModel({"read_reply": "yes", "write_fields": ModelUnavailable("gone")}))
    before = [metered.reading()]
    deadline = Deadline.after(60, SystemClock())
    await metered.complete([Message("user", "12345678")], purpose="read_reply", deadline=deadline)
    with pytest.raises(ModelUnavailable):
        await metered.complete([Message("user", "x")], purpose="write_fields", deadline=deadline)
    after = [metered.reading()]
    assert less(after, before).calls == 2
    assert less(after, before, learning=False) == Usage(calls=1, prompt_tokens=2, completion_tokens=1)
    assert less(after, before, learning=True) == Usage(calls=1)
    assert metered.name == "scripted"


def test_news_are_told_once() -> None:
    verdict = {"shadows": 1, "misses": 0}
    made = {"id": "1", "kind": "code", "made_by": "scripted", "state": "candidate", "verdict": verdict}
    made["protocol_hash"] = "sha256:" + "a" * 64
    told = news_of([], [made], "caller")
    assert told == ["agreed on sha256:aaaaaaaaaaaa", "the caller's code (by scripted) is a candidate"]
    assert news_of([made], [made], "caller") == []
    serving = made | {"state": "serving", "verdict": {"shadows": 3, "misses": 1}}
    assert news_of([made], [serving], "caller") == [
        "the caller's code serves: 3 of 3 shadowed exchanges agreed, 1 missed"
    ]


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_lines_fit_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show = Show(Console(), "local")
    show.begin("http://127.0.0.1:54321", "local/qwen2.5-coder-1.5b-instruct", (1234567, 1234568), same_words=False)
    spent = Usage(calls=12, prompt_tokens=98_765, completion_tokens=1_234)
    wordy = _exchange("natural_language", "structured", reason="because " * 30, usage=spent, ms=123_456.0, right=False)
    wordy.learned = spent
    show.exchange(wordy)
    show.learned(wordy, ["agreed on sha256:aaaaaaaaaaaa"] * 5)
    show.further([_exchange(phase="further")] * 100, 0)
    show.restarted((1234569, 1234570))
    show.end(_summary(wordy, after_routine=None, after_restart=None))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= columns
    assert "the answer is WRONG" in printed
    assert "Routines were NOT reached" in printed
    assert "local/qwen2.5-coder-1.5b-instruct" in printed


def test_with_json_nothing_is_printed_before_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    show = Show(Console(as_json=True), "scripted")
    show.begin("http://127.0.0.1:1", "scripted", (1, 2), same_words=False)
    show.exchange(_exchange())
    show.further([_exchange()], 0)
    assert capsys.readouterr().out == ""


@pytest.mark.anyio
async def test_a_process_that_dies_is_told_with_its_last_words(tmp_path: Any) -> None:
    import asyncio
    import sys

    log = tmp_path / "caller.log"
    with log.open("wb") as writing:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "raise SystemExit('out of paper')",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=writing,
        )
    side = Side("caller", process, log)
    with pytest.raises(SideFailed, match=r"the caller's process ended: out of paper"):
        await side.hear(60)
    await side.end()
