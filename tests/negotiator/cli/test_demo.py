"""`negotiator demo` from end to end, with prepared answers and with no model at all."""

import os
from pathlib import Path
from typing import Any

import pytest

from negotiator.cli import exits
from negotiator.clock import Deadline, SystemClock
from negotiator.models import Message, RecordingModel, ScriptedModel

pytest.importorskip("uvicorn")
pytest.importorskip("diskcache")

KEYS = {
    "model",
    "exchanges",
    "final_tier",
    "protocol_hash",
    "model_calls_after_routine",
    "model_calls_after_restart",
}


def test_with_prepared_answers_two_agents_get_from_words_to_routines_that_survive_a_restart(
    negotiator_process: Any, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    ran = negotiator_process("demo", "--model", "scripted", "--rounds", 10, "--json", "--keep", kept)
    assert (ran.code, len(ran.out.splitlines())) == (exits.OK, 1), ran.err
    said = ran.json
    assert said.keys() >= KEYS
    assert (said["model"], said["final_tier"], said["ok"]) == ("scripted", "routine", True)
    assert (said["model_calls_after_routine"], said["model_calls_after_restart"]) == (0, 0)
    for exchange in said["exchanges"]:
        assert exchange.keys() >= {"tier", "peer_tier", "model_calls", "tokens", "usd", "ms"}
        assert exchange["right"]

    first, last = said["exchanges"][0], said["exchanges"][-1]
    assert (first["tier"], first["peer_tier"]) == ("natural_language", "natural_language")
    # Both sides' calls: the receiver chooses a tool and reads the request, the caller reads the reply.
    assert first["model_calls"] == 3
    assert first["tokens"] > 0
    assert first["usd"] > 0
    assert "structured" in [exchange["tier"] for exchange in said["exchanges"]]
    assert (last["phase"], last["model_calls"], last["tokens"], last["usd"]) == ("restart", 0, 0, 0)
    further = [exchange for exchange in said["exchanges"] if exchange["phase"] == "further"]
    assert [(each["tier"], each["peer_tier"], each["model_calls"]) for each in further] == [
        ("routine", "routine", 0)
    ] * 10

    (caller,) = said["routines"]["caller"]
    (receiver,) = said["routines"]["receiver"]
    assert (caller["kind"], caller["made_by"], caller["protocol_hash"]) == ("code", "scripted", said["protocol_hash"])
    assert (caller["verdict"]["basis"], caller["verdict"]["shadows"]) == ("examples_and_shadow", 3)
    assert (receiver["kind"], receiver["state"]) == ("mapping", "serving")
    assert sum(exchange["learning"]["model_calls"] for exchange in said["exchanges"]) == 1

    listed = negotiator_process("routines", "list", "--json", "--state", kept / "caller")
    assert [each["id"] for each in listed.json] == [caller["id"]]
    shown = negotiator_process("docs", "show", said["protocol_hash"], "--state", kept / "receiver")
    assert "name: forecast" in shown.out


def test_with_no_model_schemas_that_map_exactly_are_enough(negotiator_process: Any) -> None:
    env = os.environ | {"COLUMNS": "80"}
    ran = negotiator_process("demo", "--model", "none", "--rounds", 3, env=env)
    assert ran.code == exits.OK, ran.err
    text = ran.out
    assert "no language model; both sides' schemas map exactly" in text
    assert "routine     routine" in text
    assert "3 further requests, each another: 0 model calls; 3 by routine on both sides" in text
    assert "started anew" in text
    assert "The agreed document, sha256:" in text
    assert "passed, exact" in text
    assert text.splitlines()[-1] == "Model: none: no language model; both sides' schemas map exactly."
    # A hash is longer than any line, and is not cut.
    assert [line for line in text.splitlines() if len(line) > 80 and "sha256:" not in line] == []
    assert "\x1b" not in text + ran.err


def test_a_demo_whose_model_is_of_no_use_fails_and_says_so(negotiator_process: Any, tmp_path: Path) -> None:
    import anyio

    record = tmp_path / "useless.jsonl"
    deadline = Deadline.after(60, SystemClock())
    model = RecordingModel(ScriptedModel(["hello"], name="useless"), record)
    anyio.run(lambda: model.complete([Message("user", "hi")], purpose="greet", deadline=deadline))
    ran = negotiator_process("demo", "--model", f"recorded/{record}", "--json")
    assert ran.code == exits.FAILED
    assert "Traceback" not in ran.err
    said = ran.json
    assert (said["model"], said["final_tier"], said["ok"]) == ("recorded/useless", "none", False)
    assert (said["model_calls_after_routine"], said["model_calls_after_restart"]) == (None, None)
    assert len(said["exchanges"]) == 4
    assert said["protocol_hash"] is None
    assert {exchange["tier"] for exchange in said["exchanges"]} == {"none"}
    assert all(exchange["error"] for exchange in said["exchanges"])


@pytest.mark.parametrize("spec", ["nonsense", "local/absent.gguf", "recorded/absent.jsonl"])
def test_a_model_that_cannot_be_is_a_wrong_call_before_anything_is_begun(spec: str, negotiator: Any) -> None:
    if spec.startswith("local"):
        pytest.importorskip("xllamacpp")
    ran = negotiator("demo", "--model", spec)
    assert (ran.code, ran.out) == (exits.USAGE, "")


def test_weights_are_not_fetched_from_strangers_without_a_yes(
    negotiator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("NEGOTIATOR_GGUF", raising=False)
    ran = negotiator("demo", "--json")
    assert ran.code == exits.NOT_HERE
    assert "--yes" in ran.err
    assert ran.json["error"]["code"] == "model_unavailable"


def test_a_folder_that_is_not_empty_is_not_used(negotiator: Any, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("mine", encoding="utf-8")
    ran = negotiator("demo", "--model", "scripted", "--keep", tmp_path)
    assert ran.code == exits.USAGE
    assert [each.name for each in tmp_path.iterdir()] == ["something"]
