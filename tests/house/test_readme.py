"""README.md says what is so."""

import socket
import subprocess
import sys
import types
from pathlib import Path

import anyio
import pytest
import uvicorn

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


@pytest.mark.anyio
async def test_the_two_agents_agree_as_written_with_no_model_in_place_of_theirs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        for theirs, ours in [
            ('"local"', '"none"'),
            ('"openai/gpt-5-mini"', '"none"'),
            (":8000", f":{listening.getsockname()[1]}"),
        ]:
            assert theirs in source
            source = source.replace(theirs, ours)
        module = types.ModuleType("two_agents")
        exec(compile(source, EXAMPLE.name, "exec"), module.__dict__)  # noqa: S102 - our own example
        config = uvicorn.Config(module.weather_agent.asgi(), lifespan="off", ws="none", log_level="warning")
        server = uvicorn.Server(config)
        async with module.weather_agent, module.caller, anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            with anyio.fail_after(30):
                await module.main()
            server.should_exit = True
    printed = capsys.readouterr().out
    assert "sunny in Rome on 24 November" in printed
    assert "routine routine" in printed
