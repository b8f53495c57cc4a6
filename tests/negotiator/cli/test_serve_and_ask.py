"""`negotiator serve` in a process of its own, and `negotiator ask` against it."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from negotiator.cli import exits
from negotiator.cli.ask import facts_of
from negotiator.models.base import Usage
from negotiator.outcome import Outcome, Step

pytest.importorskip("uvicorn")

ROOT = Path(__file__).parents[3]

WEATHER = """
import socket
from datetime import date

from pydantic import BaseModel

from negotiator import Agent


class Forecast(BaseModel):
    celsius: float


agent = Agent(model="none", publish="agreed", name="weather", state="memory")
nothing = 3


@agent.tool(effect="safe")
def forecast(city: str, day: date) -> Forecast:
    '''Weather forecast for a city on a day.'''
    if city.isdigit():
        with socket.create_connection(("127.0.0.1", int(city))) as gate:
            gate.recv(1)
    return Forecast(celsius=21.0)
"""
INPUT_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "day": {"type": "string", "format": "date"}},
    "required": ["city", "day"],
    "additionalProperties": False,
}
OUTPUT_SCHEMA = {"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]}
ASKED = {"city": "Rome", "day": "2026-11-24"}


@dataclass
class Serving:
    """A served agent."""

    process: subprocess.Popen[str]
    said: dict[str, Any]
    folder: Path

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self.said["address"])

    def task(self, tmp_path: Path, *more: object, **asked: Any) -> list[object]:
        """The arguments that ask it for a forecast."""
        (tmp_path / "in.json").write_text(json.dumps(INPUT_SCHEMA), encoding="utf-8")
        (tmp_path / "out.json").write_text(json.dumps(OUTPUT_SCHEMA), encoding="utf-8")
        task = ["--task", "Weather forecast for a city on a day", "--effect", "safe", "--state", tmp_path / "state"]
        schemas = ["--input-schema", tmp_path / "in.json", "--output-schema", tmp_path / "out.json"]
        return ["ask", self.url, *task, *schemas, "--input", json.dumps(ASKED | asked), *more]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    started: list[subprocess.Popen[str]] = []
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "weather.py").write_text(WEATHER, encoding="utf-8")

    def serve(*options: str) -> Serving:
        command = [sys.executable, "-m", "negotiator.cli", "serve", "weather:agent", "--port", "0", *options]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        started.append(process)
        assert process.stdout is not None
        return Serving(process, json.loads(process.stdout.readline()), folder)

    yield serve
    for process in started:
        process.kill()
        process.communicate()


def test_serving_says_the_real_address_when_it_is_ready_and_answers(
    start: Any, tmp_path: Path, negotiator: Any
) -> None:
    pytest.importorskip("diskcache")
    serving = start("--json")
    assert serving.said["tools"] == ["forecast"]
    assert (serving.said["model"], serving.said["name"], serving.said["state"]) == ("none", "weather", None)

    plain = negotiator(*serving.task(tmp_path))
    assert (plain.code, json.loads(plain.out)) == (exits.OK, {"celsius": 21.0})

    whole = negotiator(*serving.task(tmp_path), "--json", "--learn", "--trace")
    assert whole.json["output"] == {"celsius": 21.0}
    assert (whole.json["tier"], whole.json["peer_tier"], whole.json["model"]) == ("routine", "routine", "none")
    assert whole.json["usage"]["calls"] == 0
    assert whole.json["protocol_hash"].startswith("sha256:")
    assert [step["what"] for step in whole.json["trace"]][-1] == "send"
    assert "plan" in whole.err
    (learned,) = whole.json["learned"]
    assert (learned["kind"], learned["state"]) == ("mapping", "serving")

    # The input may come from a file, and an input that does not fit is the caller's to correct.
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps(ASKED), encoding="utf-8")
    arguments = serving.task(tmp_path)
    arguments[arguments.index("--input") + 1] = f"@{asked}"
    assert negotiator(*arguments).code == exits.OK
    refused = negotiator(*serving.task(tmp_path, day="soon"))
    assert refused.code == exits.USAGE
    assert "/day" in refused.err

    # Another task than the peer offers is not possible without a model, and the state that it kept says so.
    other = negotiator("ask", serving.url, "--task", "Sing", "--input", "{}", "--state", tmp_path / "state")
    assert other.code == exits.NOT_HERE
    listed = negotiator("routines", "list", "--json", "--state", tmp_path / "state").json
    assert [each["id"] for each in listed] == [learned["id"]]

    serving.process.send_signal(signal.SIGTERM)
    out, err = serving.process.communicate(timeout=60)
    assert (serving.process.returncode, out) == (exits.OK, "")
    assert "memory only" in err
    assert "Traceback" not in err


def test_a_request_that_was_accepted_is_answered_after_sigterm(start: Any, tmp_path: Path, negotiator: Any) -> None:
    pytest.importorskip("diskcache")
    serving = start("--json")
    ran: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(60)
        task = serving.task(tmp_path, city=str(gate.getsockname()[1]))
        asking = threading.Thread(target=lambda: ran.append(negotiator(*task)))
        asking.start()
        begun, _ = gate.accept()
        with begun:
            serving.process.send_signal(signal.SIGTERM)
            begun.sendall(b"x")
        asking.join(60)
    assert (ran[0].code, json.loads(ran[0].out)) == (exits.OK, {"celsius": 21.0})
    serving.process.communicate(timeout=60)
    assert serving.process.returncode == exits.OK


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("weather", "MODULE:NAME"),
        ("absent_module:agent", "there is no module absent_module"),
        ("weather:nobody", "nothing named nobody"),
        ("weather:nothing", "a int named nothing"),
        ("broken:agent", "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_served_is_a_wrong_call(
    named: str, said: str, tmp_path: Path, negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weather.py").write_text(WEATHER, encoding="utf-8")
    (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "weather", raising=False)
    ran = negotiator("serve", named)
    assert ran.code == exits.USAGE
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_port_that_is_taken_is_a_wrong_call(tmp_path: Path, negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weather.py").write_text(WEATHER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "weather", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = negotiator("serve", "weather:agent", "--port", taken.getsockname()[1])
    assert ran.code == exits.USAGE
    assert "cannot listen" in ran.err


def test_without_uvicorn_serving_says_what_to_install(negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    for command in (["serve", "weather:agent"], ["demo", "--model", "scripted"]):
        ran = negotiator(*command)
        assert ran.code == exits.NOT_HERE
        assert 'pip install "metaparley[serve]"' in ran.err


def test_the_agent_of_the_readme_is_one_that_can_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xllamacpp")
    from negotiator.cli.serve import load

    monkeypatch.chdir(ROOT / "docs" / "examples")
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples")
    monkeypatch.delitem(sys.modules, "two_agents", raising=False)
    assert list(load("two_agents:weather_agent").engine.tools) == ["forecast"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://127.0.0.1", "--input", "{}"], "not an http or https address"),
        (["http://127.0.0.1", "--input", "[1]"], "not a JSON object"),
        (["http://127.0.0.1", "--input", "{"], "the input is not JSON"),
        (["http://127.0.0.1", "--input", "@absent"], "the input cannot be read"),
        (["http://127.0.0.1", "--input", "{}", "--input-schema", "absent"], "the input schema cannot be read"),
        (["http://127.0.0.1", "--input", "{}", "--model", "nonsense"], "names no model"),
        (["http://127.0.0.1", "--input", "{}", "--model", "scripted"], "scripted"),
    ],
)
def test_a_request_that_cannot_be_made_is_a_wrong_call(arguments: list[str], said: str, negotiator: Any) -> None:
    ran = negotiator("ask", *arguments, "--task", "t", "--state", "memory")
    assert ran.code == exits.USAGE
    assert said in ran.err


def test_a_peer_that_is_not_there_may_be_asked_again(negotiator: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ran = negotiator("ask", f"http://127.0.0.1:{port}", "--task", "t", "--input", "{}", "--state", "memory")
    assert ran.code == exits.AGAIN


def test_an_outcome_for_programs_holds_all_that_an_outcome_has() -> None:
    outcome = Outcome(
        output=object(),
        json={"celsius": 21.0},
        tier="routine",
        peer_tier="unknown",
        protocol_hash=None,
        reason="a verified routine is ready",
        usage=Usage(calls=2, usd=None),
        seconds=0.1,
        model="none",
        trace=(Step("plan", "routine", 0.5),),
    )
    facts = json.loads(json.dumps(facts_of(outcome)))
    assert facts.keys() == {field for field in Outcome.__dataclass_fields__ if field != "json"}
    assert facts["output"] == {"celsius": 21.0}
    assert (facts["usage"]["calls"], facts["usage"]["usd"]) == (2, None)
    assert facts["trace"] == [{"what": "plan", "detail": "routine", "ms": 0.5}]
