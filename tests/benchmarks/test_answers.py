"""What a model said once is played again: a run goes on where it stopped, and a table needs no model."""

from pathlib import Path

import pytest

from benchmarks.answers import Kept, open_kept
from benchmarks.transcripts import Transcript
from negotiator.clock import Deadline, SystemClock
from negotiator.errors import DeadlinePassed, ModelUnavailable, UsageError
from negotiator.models.base import Message
from negotiator.models.scripted import InTurn, ScriptedModel, UnknownPrompt

pytestmark = pytest.mark.anyio


async def say(model: object, text: str) -> str:
    deadline = Deadline.after(60, SystemClock())
    assert isinstance(model, Kept)
    return (await model.complete([Message("user", text)], purpose="talk", deadline=deadline)).text


async def test_an_answer_is_asked_for_once_and_played_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    first = Kept(ScriptedModel({"talk": InTurn("one", "two")}), path)
    assert await say(first, "a") == "one"
    second = Kept(ScriptedModel({"talk": InTurn("two")}), path)
    assert [await say(second, "a"), await say(second, "b")] == ["one", "two"]
    assert second.asked == 1
    third = open_kept("recorded", path)
    assert (await say(third, "b"), await say(third, "a"), third.name) == ("two", "one", "scripted")
    with pytest.raises(UnknownPrompt):
        await say(third, "c")


async def test_failures_are_played_too_and_tried_again_where_there_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    model = Kept(ScriptedModel({"talk": InTurn("one", DeadlinePassed(), ModelUnavailable())}), path)
    assert await say(model, "a") == "one"
    with pytest.raises(DeadlinePassed):
        await say(model, "b")
    with pytest.raises(ModelUnavailable):
        await say(model, "c")
    replayed = open_kept("recorded", path)
    with pytest.raises(DeadlinePassed):
        await say(replayed, "b")
    with pytest.raises(ModelUnavailable):
        await say(replayed, "c")
    assert await say(Kept(ScriptedModel({"talk": "at last"}), path), "b") == "at last"


async def test_answers_of_another_model_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    await say(Kept(ScriptedModel({"talk": "one"}), path), "a")
    with pytest.raises(UsageError, match="answers of scripted, not of other"):
        Kept(ScriptedModel({"talk": "one"}, name="other"), path)
    with pytest.raises(UsageError, match="holds no answers"):
        open_kept("recorded", tmp_path / "nowhere.jsonl")


def test_rows_of_the_same_work_stand_and_others_are_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "rows" / "a.jsonl"
    Transcript(path, {"seed": 1}).add({"n": 1})
    with path.open("a", encoding="utf-8") as file:
        file.write('{"n": 2')
    again = Transcript(path, {"seed": 1})
    assert again.rows == [{"n": 1}]
    again.add({"n": 3})
    assert Transcript(path, {"seed": 1}).rows == [{"n": 1}, {"n": 3}]
    assert Transcript(path, {"seed": 2}).rows == []
