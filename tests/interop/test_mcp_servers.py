"""Servers of MCP that others wrote and publish, as peers of an agent of ours that has no model at all."""

import json
import os
import shutil
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from negotiator import Agent, PeerFailed, Task
from negotiator.clock import Deadline, SystemClock

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

FOLDER = Path(__file__).parents[2] / ".peers" / "mcp-servers-2026.8.31"
SERVERS = ("everything", "filesystem", "memory")
TEXT = {"type": "string"}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


FORECAST = Task(
    "Weather forecast for a city and a day",
    input=obj(city=TEXT, day=TEXT),
    output=obj(high={"type": "integer"}, summary=TEXT),
    effect="safe",
    name="forecast",
)
WEATHER = Task(
    "Returns structured content along with an output schema for client data validation",
    name="get-structured-content",
    input=obj(location={"type": "string", "enum": ["New York", "Chicago", "Los Angeles"]}),
    output={
        "type": "object",
        "properties": {
            "temperature": {"type": "number", "description": "in celsius"},
            "conditions": TEXT,
            "humidity": {"type": "number"},
        },
    },
    effect="safe",
)
READ = Task(
    "Read the contents of a text file",
    name="read_text_file",
    input=obj(path=TEXT),
    output=obj(content=TEXT),
    effect="safe",
)
WRITE = Task(
    "Create a file or overwrite it with new content",
    name="write_file",
    input=obj(path=TEXT, content=TEXT),
    output=obj(content=TEXT),
)
ENTITY = obj(name=TEXT, entityType=TEXT, observations={"type": "array", "items": TEXT})
ENTITIES = {"type": "array", "items": ENTITY}
REMEMBER = Task(
    "Create multiple new entities in the knowledge graph",
    name="create_entities",
    input=obj(entities=ENTITIES),
    output=obj(entities=ENTITIES),
)
RECALL = Task(
    "Search for nodes in the knowledge graph",
    name="search_nodes",
    input=obj(query=TEXT),
    output={"type": "object", "properties": {"entities": ENTITIES}, "required": ["entities"]},
    effect="safe",
)
ADA = {"name": "Ada", "entityType": "person", "observations": ["counts"]}


@pytest.fixture(scope="module")
def published() -> Path:
    """The folder of the commands of MCP's reference servers on npm, which are installed on first use."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("the reference servers need Node and npm, and they are not here")
    commands = FOLDER / "node_modules" / ".bin"
    if not all((commands / f"mcp-server-{name}").exists() for name in SERVERS):
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "package.json").write_text("{}")
        named = [f"@modelcontextprotocol/server-{name}@2026.8.31" for name in SERVERS]
        installing = [npm, "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", *named]
        subprocess.run(installing, cwd=FOLDER, check=True, capture_output=True, timeout=300)
    return commands


FILES: list[tuple[str, dict[str, Any], Any]] = [
    ("create_directory", {"path": "{root}/sub"}, "Successfully created"),
    ("write_file", {"path": "{root}/sub/a.txt", "content": "as it was\n"}, "Successfully wrote"),
    ("read_file", {"path": "{root}/sub/a.txt"}, "as it was\n"),
    ("read_text_file", {"path": "{root}/sub/a.txt", "head": 1}, "as it was"),
    ("read_multiple_files", {"paths": ["{root}/sub/a.txt", "{root}/none"]}, "as it was"),
    ("edit_file", {"path": "{root}/sub/a.txt", "edits": [{"oldText": "was", "newText": "is"}]}, "+as it is"),
    ("read_media_file", {"path": "{root}/dot.png"}, [{"type": "image", "data": "{dot}", "mimeType": "image/png"}]),
    ("move_file", {"source": "{root}/sub/a.txt", "destination": "{root}/sub/b.txt"}, "Successfully moved"),
    ("list_directory", {"path": "{root}/sub"}, "[FILE] b.txt"),
    ("list_directory_with_sizes", {"path": "{root}/sub", "sortBy": "size"}, "b.txt"),
    ("directory_tree", {"path": "{root}"}, '"b.txt"'),
    ("search_files", {"path": "{root}", "pattern": "**/*.txt"}, "b.txt"),
    ("get_file_info", {"path": "{root}/sub/b.txt"}, "isFile: true"),
    ("list_allowed_directories", {}, "{root}"),
]
"""Each tool of the server of files: its input, and what is in its `content`."""
LOVES = {"from": "Ada", "to": "Charles", "relationType": "knows"}
GRAPH = {"entities": [{"name": "Ada", "entityType": "person", "observations": ["counts"]}], "relations": []}
MEMORIES: list[tuple[str, dict[str, Any], Any]] = [
    ("create_entities", {"entities": [GRAPH["entities"][0]]}, {"entities": GRAPH["entities"]}),
    ("create_relations", {"relations": [LOVES]}, {"relations": [LOVES]}),
    (
        "add_observations",
        {"observations": [{"entityName": "Ada", "contents": ["writes"]}]},
        {"results": [{"entityName": "Ada", "addedObservations": ["writes"]}]},
    ),
    ("delete_observations", {"deletions": [{"entityName": "Ada", "observations": ["writes"]}]}, None),
    ("delete_relations", {"relations": [LOVES]}, None),
    ("read_graph", {}, GRAPH),
    ("search_nodes", {"query": "Ada"}, GRAPH),
    ("open_nodes", {"names": ["Ada"]}, GRAPH),
    ("delete_entities", {"entityNames": ["Ada"]}, None),
]
"""Each tool of the server of memories: its input, and what it gives; None for its own word that it succeeded."""
DOT = b"\x89PNG\r\n\x1a\n"


def filled(value: Any, **names: str) -> Any:
    if isinstance(value, dict):
        return {name: filled(each, **names) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, **names) for each in value]
    for name, given in names.items():
        value = value.replace("{" + name + "}", given) if isinstance(value, str) else value
    return value


async def tasks_of(agent: Agent, peer: str) -> dict[str, Task]:
    """A task for each tool that says what it gives, in its own words and schemas."""
    tasks = {}
    deadline = Deadline.after(30, SystemClock())
    record = await agent.engine.reach.discover(peer, deadline)
    for name, sources in record.listing.items():
        document = await agent.engine.find_document((name,), sources, timeout=10)
        annex = document.annex
        if annex is not None and annex.request_schema is not None and annex.reply_schema is not None:
            tasks[document.name] = Task(
                document.description.partition(". ")[0],
                name=document.name,
                input=annex.request_schema,
                output=annex.reply_schema,
                effect=annex.effect or "transactional",
                natural_language=False,
            )
    return tasks


async def test_every_tool_of_the_server_of_files_is_a_routine(published: Path, tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(DOT)
    known = {"root": str(tmp_path), "dot": b64encode(DOT).decode()}
    async with Agent(state="memory") as agent:
        peer = agent.know_command("files", [str(published / "mcp-server-filesystem"), str(tmp_path)])
        tasks = await tasks_of(agent, peer)
        assert set(tasks) == {name for name, _, _ in FILES}
        for name, value, expected in FILES:
            content = (await routine(agent, peer, tasks[name], filled(value, **known)))["content"]
            wanted = filled(expected, **known)
            assert wanted in content if isinstance(content, str) else wanted == content, name


async def test_every_tool_of_the_server_of_memories_is_a_routine(published: Path, tmp_path: Path) -> None:
    async with Agent(state="memory") as agent:
        kept = {"MEMORY_FILE_PATH": str(tmp_path / "memory.jsonl")}
        peer = agent.know_command("memory", [str(published / "mcp-server-memory")], environment=kept)
        tasks = await tasks_of(agent, peer)
        assert set(tasks) == {name for name, _, _ in MEMORIES}
        for name, value, expected in MEMORIES:
            made = await routine(agent, peer, tasks[name], value)
            assert (made["success"] is True) if expected is None else (made == expected), name


async def routine(agent: Agent, peer: str, task: Task, value: Any) -> Any:
    outcome = await agent.ask(peer, task, value)
    assert (outcome.tier, outcome.usage.calls) == ("routine", 0)
    return outcome.json


async def test_the_everything_server_is_a_peer(published: Path) -> None:
    async with Agent(state="memory") as agent:
        peer = agent.know_command("everything", [str(published / "mcp-server-everything")])
        for _ in range(2):
            assert (await routine(agent, peer, WEATHER, {"location": "Chicago"})).keys() == WEATHER.output.json_schema[
                "properties"
            ].keys()


async def test_the_server_of_files_is_a_peer_and_its_refusal_a_typed_error(published: Path, tmp_path: Path) -> None:
    async with Agent(state="memory") as agent:
        peer = agent.know_command("files", [str(published / "mcp-server-filesystem"), str(tmp_path)])
        await routine(agent, peer, WRITE, {"path": f"{tmp_path}/a.txt", "content": "as it was"})
        assert (tmp_path / "a.txt").read_text() == "as it was"
        assert await routine(agent, peer, READ, {"path": f"{tmp_path}/a.txt"}) == {"content": "as it was"}
        with pytest.raises(PeerFailed):
            await agent.ask(peer, READ, {"path": "/etc/passwd"})
        assert await routine(agent, peer, READ, {"path": f"{tmp_path}/a.txt"}) == {"content": "as it was"}


async def test_the_server_of_memories_is_a_peer(published: Path, tmp_path: Path) -> None:
    async with Agent(state="memory") as agent:
        kept = {"MEMORY_FILE_PATH": str(tmp_path / "memory.jsonl")}
        peer = agent.know_command("memory", [str(published / "mcp-server-memory")], environment=kept)
        assert await routine(agent, peer, REMEMBER, {"entities": [ADA]}) == {"entities": [ADA]}
        assert await routine(agent, peer, RECALL, {"query": "Ada"}) == {"entities": [ADA]}
    assert "Ada" in json.dumps((tmp_path / "memory.jsonl").read_text())


async def test_a_server_written_with_fastmcp_is_a_peer(
    python_with: Callable[..., str], start_peer: Callable[..., Any]
) -> None:
    python = python_with("mcp-clients", "mcp", low=11)
    async with Agent(state="memory") as agent:
        peer = f"http://127.0.0.1:{start_peer(python, 'mcp_clients.py', 'serve').hear()['port']}/mcp"
        for city in ("Rome", "Oslo"):
            told = await routine(agent, peer, FORECAST, {"city": city, "day": "2026-11-24"})
            assert told == {"high": 4, "summary": f"sunny in {city} on 2026-11-24"}


@pytest.fixture
def two_endpoints(published: Path) -> Iterator[str]:
    """The address of the stream of the server of everything."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(published / "mcp-server-everything"), "sse"],
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "running" not in process.stderr.readline():
            assert process.poll() is None
        yield f"http://127.0.0.1:{port}/sse"
    finally:
        process.terminate()
        process.communicate(timeout=30)


async def test_the_server_of_everything_is_a_peer_with_two_endpoints_too(two_endpoints: str) -> None:
    async with Agent(state="memory") as agent:
        for _ in range(2):
            outcome = await agent.ask(f"mcp+{two_endpoints}", WEATHER, {"location": "Chicago"})
            assert (outcome.tier, set(outcome.json)) == ("routine", {"temperature", "conditions", "humidity"})
