"""The models that need no model: scripted, recorded, none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from negotiator.clock import Deadline, SystemClock
from negotiator.errors import DeadlinePassed, MissingExtra, ModelError, ModelUnavailable, UsageError
from negotiator.models import (
    Completion,
    CutOff,
    InTurn,
    Message,
    Model,
    NoModel,
    RecordedModel,
    RecordingModel,
    Refused,
    ScriptedModel,
    Slow,
    UnknownPrompt,
    Usage,
    is_none,
    open_model,
    price_of,
)

HELLO = (Message("system", "Be brief."), Message("user", "Hello."))


def soon() -> Deadline:
    return Deadline.after(60, SystemClock())


async def say(model: Model, purpose: str = "greet", messages: Any = HELLO, **more: Any) -> Completion:
    return await model.complete(messages, purpose=purpose, deadline=more.pop("deadline", None) or soon(), **more)


@pytest.mark.anyio
async def test_no_model_says_that_there_is_none() -> None:
    model = open_model("none")
    assert is_none(model)
    assert is_none(open_model(None))
    assert not is_none(ScriptedModel([]))
    with pytest.raises(ModelUnavailable, match="no model to ask for greet"):
        await say(model)
    await model.aclose()


@pytest.mark.anyio
async def test_a_script_answers_by_purpose() -> None:
    model = ScriptedModel({
        "greet": "Hello.",
        "list": [1, {"a": None}],
        "count": lambda messages, schema: {"messages": len(messages), "schema": schema},
    })  # fmt: skip
    assert (await say(model)).text == "Hello."
    assert json.loads((await say(model, "list")).text) == [1, {"a": None}]
    counted = await say(model, "count", schema={"type": "object"}, max_tokens=7)
    assert json.loads(counted.text) == {"messages": 2, "schema": {"type": "object"}}
    assert [call.purpose for call in model.calls] == ["greet", "list", "count"]
    assert model.calls[2].max_tokens == 7
    assert model.calls[0].messages == HELLO


@pytest.mark.anyio
async def test_a_script_plays_a_list_in_order_and_then_fails_loudly() -> None:
    model = ScriptedModel(["one", "two"])
    assert [(await say(model, "a")).text, (await say(model, "b")).text] == ["one", "two"]
    with pytest.raises(UnknownPrompt, match="used up"):
        await say(model, "c")
    assert not issubclass(UnknownPrompt, ModelError)


@pytest.mark.anyio
async def test_an_unknown_purpose_fails_loudly() -> None:
    with pytest.raises(UnknownPrompt, match=r"no answer for the purpose 'write'; it knows greet"):
        await say(ScriptedModel({"greet": "Hello."}), "write")


@pytest.mark.anyio
async def test_answers_to_one_purpose_are_played_in_turn() -> None:
    model = ScriptedModel({"greet": InTurn("Hello.", ModelUnavailable("gone")), "other": "x"})
    assert (await say(model)).text == "Hello."
    assert (await say(model, "other")).text == "x"
    with pytest.raises(ModelUnavailable, match="gone"):
        await say(model)
    with pytest.raises(UnknownPrompt, match="another call for 'greet'"):
        await say(model)


@pytest.mark.anyio
async def test_a_script_counts_a_token_for_four_characters_and_no_money() -> None:
    completion = await say(ScriptedModel(["12345"], name="scripted/small"))
    assert completion.usage == Usage(calls=1, prompt_tokens=3 + 2, completion_tokens=2, seconds=0.0, usd=0.0)
    assert completion.model == "scripted/small"
    assert price_of(completion.model, 10, 10) == 0.0


@pytest.mark.anyio
async def test_faults_are_scripted_too() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    model = ScriptedModel(
        [CutOff("abc"), Refused("no"), Slow(5, "late"), Slow(90, "never"), ValueError("bug")], sleep=sleep
    )
    assert (await say(model)).truncated
    refused = await say(model)
    assert (refused.text, refused.refusal) == ("", "no")
    late = await say(model)
    assert (late.text, late.usage.seconds) == ("late", 5)
    with pytest.raises(DeadlinePassed):
        await say(model)
    assert waits[0] == 5
    assert waits[1] <= 60
    with pytest.raises(ValueError, match="bug"):
        await say(model)


@pytest.mark.anyio
async def test_an_answer_may_be_awaited() -> None:
    async def answer(_: Any, __: Any) -> Any:
        return Slow(0, {"done": True})

    assert (await say(ScriptedModel({"greet": answer}))).text == '{"done": true}'


@pytest.mark.anyio
async def test_a_passed_deadline_gets_no_answer() -> None:
    past = Deadline.after(-1, SystemClock())
    with pytest.raises(DeadlinePassed):
        await say(ScriptedModel(["x"]), deadline=past)


@pytest.mark.anyio
async def test_a_recording_replays_exactly(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    real = Completion(
        text="Grüß dich\n", model="local/small", usage=Usage(calls=1, prompt_tokens=9, completion_tokens=3, seconds=1.5)
    )
    inner = ScriptedModel([real, CutOff("cut"), Refused("no"), "again"], name="local/small")
    recording = RecordingModel(inner, file)
    assert recording.name == "local/small"
    asked: list[dict[str, Any]] = [
        {},
        {"schema": {"type": "object", "properties": {}}},
        {"max_tokens": 5},
        {"purpose": "other"},
    ]
    said = [await say(recording, **more) for more in asked]
    await recording.aclose()

    replayed = RecordedModel(file)
    assert replayed.name == "recorded/local/small"
    assert [await say(replayed, **more) for more in asked] == said
    assert said[0] == real
    assert (await say(replayed)).text == "again", "the last answer to a prompt stays"
    await replayed.aclose()


@pytest.mark.anyio
async def test_a_recording_fails_loudly_on_an_unknown_prompt(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    await say(RecordingModel(ScriptedModel(["x"]), file))
    for change in ({"max_tokens": 1025}, {"schema": {}}, {"messages": HELLO[:1]}):
        with pytest.raises(UnknownPrompt, match="record it again"):
            await say(open_model(f"recorded/{file}"), **change)


@pytest.mark.parametrize("content", ["", "not json\n", "[]\n", '{"key": "x"}\n', '{"messages": [{"role": "user"}]}\n'])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text(content)
    with pytest.raises(UsageError):
        RecordedModel(file)
    with pytest.raises(UsageError, match="cannot be read"):
        RecordedModel(tmp_path / "absent.jsonl")


@pytest.mark.anyio
async def test_a_recording_is_of_one_model(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    for name in ("one", "two"):
        await say(RecordingModel(ScriptedModel(["x"], name=name), file))
    with pytest.raises(UsageError, match="2 models"):
        RecordedModel(file)


@pytest.mark.anyio
async def test_a_line_edited_by_hand_answers_no_other_prompt(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    await say(RecordingModel(ScriptedModel(["x"]), file))
    line = json.loads(file.read_text())
    line["messages"][1]["content"] = "Goodbye."
    file.write_text(json.dumps(line) + "\n")
    with pytest.raises(UnknownPrompt):
        await say(RecordedModel(file))


def test_a_model_object_is_opened_as_it_is() -> None:
    model = ScriptedModel([])
    assert open_model(model) is model
    assert isinstance(model, Model)
    assert isinstance(NoModel(), Model)


@pytest.mark.parametrize("spec", ["", "gpt-4o", "scripted", "openai", "openai/", "litellm", "recorded", "none/x"])
def test_a_name_that_names_no_model_is_refused(spec: str) -> None:
    if not spec:
        assert is_none(open_model(spec))
        return
    with pytest.raises(UsageError):
        open_model(spec)


def test_an_option_that_does_not_apply_is_refused() -> None:
    for spec in ("none", ScriptedModel([])):
        with pytest.raises(UsageError, match="base_url does not apply"):
            open_model(spec, base_url="http://127.0.0.1:1/v1")


@pytest.mark.parametrize(("spec", "extra"), [("local", "local"), ("litellm/openai/x", "litellm")])
def test_a_missing_extra_is_named_with_the_words_that_install_it(
    monkeypatch: pytest.MonkeyPatch, spec: str, extra: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=rf'pip install "metaparley\[{extra}\]"'):
        open_model(spec)


def test_importing_and_opening_loads_no_heavy_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extras = tmp_path / "extras"
    for name in ("litellm", "xllamacpp"):
        # Stand-ins, in case the extras are not installed.
        (extras / name).mkdir(parents=True)
        (extras / name / "__init__.py").write_text("raise SystemExit('imported')")
    (extras / "litellm-1.106.2.dist-info").mkdir()
    (extras / "litellm-1.106.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: litellm\nVersion: 1.106.2\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(extras), *sys.path]))
    code = (
        "import sys; from negotiator.models import open_model; open_model('openai/gpt-5-mini', api_key='x');"
        "open_model('litellm/x/y'); open_model('local'); open_model('none');"
        " print(sorted({'openai','litellm','httpx','httpx2','xllamacpp','diskcache'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("openai/gpt-4o", 2.5 + 10),
        ("gpt-4o@agora-2024", 5 + 15),
        ("openai/gpt-5-mini-2025-08-07", 0.25 + 2),
        ("litellm/anthropic/claude-sonnet-4-5-20250929", 3 + 15),
        ("litellm/gemini/gemini-2.5-flash", 0.3 + 2.5),
        ("local/qwen2.5-coder-1.5b-instruct", 0),
        ("scripted", 0),
        ("none", 0),
        ("openai/somebody-elses", None),
        ("openai/gpt-4o-9", None),
    ],
)
def test_prices_are_per_million_tokens_and_unknown_where_not_listed(model: str, usd: float | None) -> None:
    assert price_of(model, 1_000_000, 1_000_000) == (usd if usd is None else pytest.approx(usd))
