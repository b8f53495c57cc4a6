"""An agent as an MCP server over a pair of pipes."""

import asyncio
import json
import subprocess
import sys

import pytest

from negotiator import Agent
from negotiator.mcp.stdio import MAX_LINE, StdioDoor
from negotiator.testing import World

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def line(method, identifier=None, **params):
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message | ({} if identifier is None else {"id": identifier})).encode() + b"\n"


class Pipe:
    """The client's end: lines that are sent, lines that came."""

    def __init__(self, agent):
        self.lines, self.heard, self.news = asyncio.Queue(), [], asyncio.Event()
        self.running = asyncio.create_task(StdioDoor(agent.mcp_server(), self._write).run(self._read()))

    async def _read(self):
        while (said := await self.lines.get()) is not None:
            yield said

    async def _write(self, data):
        assert data.endswith(b"\n")
        assert data.count(b"\n") == 1
        self.heard.append(json.loads(data))
        self.news.set()

    async def until(self, number):
        while len(self.heard) < number:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 5)

    async def end(self, *lines):
        for each in (*lines, None):
            self.lines.put_nowait(each)
        await asyncio.wait_for(self.running, 5)
        return self.heard


@pytest.fixture
def agent():
    agent = Agent(state="memory")

    @agent.tool(effect="safe")
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    return agent


async def test_a_connection_goes_on_in_the_revision_of_its_handshake(agent):
    heard = await Pipe(agent).end(
        line("initialize", 0, protocolVersion="2024-11-05", capabilities={}, clientInfo={}),
        line("notifications/initialized"),
        line("tools/call", "a", name="double", arguments={"number": 2}),
    )
    assert [each["id"] for each in heard] == [0, "a"]
    assert heard[0]["result"]["protocolVersion"] == "2024-11-05"
    assert "structuredContent" not in heard[1]["result"]


async def test_modern_requests_need_no_handshake(agent):
    heard = await Pipe(agent).end(line("tools/call", 1, _meta=META, name="double", arguments={"number": 2}))
    assert heard[0]["result"]["structuredContent"] == 4


async def test_what_is_no_message_is_answered_and_the_next_one_served(agent):
    heard = await Pipe(agent).end(b"nonsense\n", b"\n", b"", b"[1]\n", line("ping", 5))
    assert sorted(each.get("error", {}).get("code", 0) for each in heard) == [-32700, -32600, -32600, 0]
    assert {"jsonrpc": "2.0", "id": 5, "result": {}} in heard


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18"])
async def test_a_batch_is_answered_as_one_after_a_handshake_of_its_revision(agent, version):
    batch = b"[" + line("ping", 1).strip() + b"," + line("ping", 2).strip() + b"]\n"
    heard = await Pipe(agent).end(line("initialize", 0, protocolVersion=version), batch)
    if version == "2025-03-26":
        assert [each["id"] for each in heard[1]] == [1, 2]
    else:
        assert heard[1]["error"]["code"] == -32600


async def slow_agent(**options):
    agent, begun, go = Agent(state="memory", **options), asyncio.Event(), asyncio.Event()

    @agent.tool
    async def slow() -> str:
        """Take a while."""
        begun.set()
        await go.wait()
        return "done"

    return agent, begun, go


async def test_an_id_that_is_under_way_is_not_taken_again_and_others_are_not_kept_waiting():
    agent, begun, go = await slow_agent()
    pipe = Pipe(agent)
    pipe.lines.put_nowait(line("tools/call", 1, name="slow"))
    await begun.wait()
    pipe.lines.put_nowait(line("ping", 1))
    pipe.lines.put_nowait(line("ping", 2))
    await pipe.until(2)
    assert {each["id"]: each.get("error", {}).get("code") for each in pipe.heard} == {1: -32600, 2: None}
    go.set()
    heard = await pipe.end()
    assert heard[-1]["result"]["content"][0]["text"] == "done"


async def test_a_cancelled_request_is_ended_and_not_answered():
    agent, begun, go = await slow_agent()
    pipe = Pipe(agent)
    pipe.lines.put_nowait(line("tools/call", 1, name="slow"))
    await begun.wait()
    pipe.lines.put_nowait(line("notifications/cancelled", requestId=1))
    pipe.lines.put_nowait(line("notifications/cancelled", requestId={}))
    pipe.lines.put_nowait(line("ping", 2))
    await pipe.until(1)
    go.set()
    assert [each["id"] for each in await pipe.end()] == [2]


async def test_what_was_accepted_is_ended_when_the_input_ends():
    agent, begun, go = await slow_agent()
    pipe = Pipe(agent)
    pipe.lines.put_nowait(line("tools/call", 1, name="slow"))
    await begun.wait()
    pipe.lines.put_nowait(None)
    go.set()
    await asyncio.wait_for(pipe.running, 5)
    assert pipe.heard[0]["result"]["isError"] is False


async def test_whoever_starts_the_process_may_have_peers_asked():
    world = World()
    other, front = world.agent("other", publish="all"), world.agent("front")

    @other.tool(effect="safe")
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    front.know("mem://other")
    heard = await Pipe(front).end(line("tools/call", 1, _meta=META, name="find_task", arguments={"query": "double"}))
    assert heard[0]["result"]["structuredContent"]["tasks"][0]["where"] == "mem://other"


def test_the_command_speaks_lines_alone_whatever_tools_print(tmp_path):
    (tmp_path / "loud.py").write_text(
        "from negotiator import Agent\n"
        "print('imported')\n"
        "agent = Agent(state='memory')\n"
        "@agent.tool(effect='safe')\n"
        "def shout(text: str) -> str:\n"
        "    '''Shout.'''\n"
        "    print('shouting')\n"
        "    return text.upper()\n"
    )
    too_long = b'{"x": "' + b"y" * MAX_LINE + b'"}\n'
    asked = too_long + line("tools/call", 1, _meta=META, name="shout", arguments={"text": "a"})
    ran = subprocess.run(
        [sys.executable, "-m", "negotiator.cli", "mcp", "loud:agent"],
        input=asked,
        capture_output=True,
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    heard = [json.loads(each) for each in ran.stdout.splitlines()]
    assert heard[0]["error"]["code"] == -32600
    assert heard[1]["result"]["structuredContent"] == "A"
    assert b"imported" in ran.stderr
    assert b"shouting" in ran.stderr
