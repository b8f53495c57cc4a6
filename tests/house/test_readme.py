"""README.md says what is so."""

import re
import socket
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
import uvicorn

from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Message
from negotiator.models.scripted import ScriptedModel

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "two_agents.py"


def test_the_examples_are_the_tested_files() -> None:
    ran = subprocess.run(
        [sys.executable, "scripts/sync_readme.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_the_targets_it_names_are_in_the_makefile() -> None:
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()}
    assert {"demo", "test"} <= targets


_MEANS = {"city": "place", "day": "when", "high": "high", "conditions": "summary"}
_DAY = re.compile(r"2026-11-\d\d")


def _said(messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
    """What a model reads out of a request or a reply in plain words."""
    assert schema is not None
    day = _DAY.findall(messages[-1].content)[-1]
    known = {"city": "Rome", "day": day, "high": 21.0, "conditions": "sunny"}
    return {"answer": {name: known[name] for name in schema["anyOf"][0]["properties"]["answer"]["properties"]}}


def _paired(_messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
    assert schema is not None
    return {name: _MEANS[name] for name in schema["properties"]}


@pytest.mark.anyio
async def test_the_two_agents_come_to_routines_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    answers = {"choose_tool": {"tool": "forecast"}, "read_request": _said, "read_reply": _said, "pair_fields": _paired}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for theirs, ours in [
            ('"local"', "SCRIPTED"),
            ('"openai/gpt-5-mini"', "SCRIPTED"),
            (":8000", f":{listening.getsockname()[1]}"),
        ]:
            assert theirs in source
            source = source.replace(theirs, ours)
        module = types.ModuleType("two_agents")
        module.SCRIPTED = ScriptedModel(answers)  # type: ignore[attr-defined]
        exec(compile(source, EXAMPLE.name, "exec"), module.__dict__)  # noqa: S102 - our own example
        config = uvicorn.Config(module.weather_agent.asgi(), lifespan="off", ws="none", log_level="warning")
        server = uvicorn.Server(config)
        async with module.weather_agent, anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            with anyio.fail_after(30):
                await module.main()
            server.should_exit = True
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()[:2]) for line in lines] == [
        *["routine structured"] * 3,
        *["routine routine"] * 4,
    ]
    assert all("high=21.0" in line and "sunny" in line for line in lines)
    assert "sunny in Rome on 07 November" in lines[-1]
