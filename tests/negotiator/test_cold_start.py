"""What a process that begins does not do before it must: told by counts and by names of modules, without a clock."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from negotiator import Agent
from negotiator.mapping import FieldMapping, Mapping
from negotiator.routines import Direction, Routine, Verdict
from negotiator.running import Runnable
from negotiator.shelf import RoutineShelf
from negotiator.wire import WireRequest
from protocol_docs import draft_document
from sandbox.cache import RoutineCache

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SCHEMA: Any = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
DOCUMENTS = [
    draft_document(
        name=f"Town {number}", description="Names it.", request_schema=SCHEMA, reply_schema=SCHEMA, effect="safe"
    )
    for number in range(40)
]

PROGRAM = """
import asyncio, json, sys

def begun():
    names = ("negotiator.", "httpx", "cryptography", "jwt", "aiohttp", "rich", "uvicorn")
    return sorted(name for name in sys.modules if name.startswith(names))

from negotiator import Agent

agent = Agent(model="none", state="memory")

@agent.tool(effect="safe", inline=True)
def spell(city: str) -> str:
    return city.upper()

app = agent.asgi()
told = {"agent": begun()}

async def ask(method, path, body):
    events = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    sent = []

    async def receive():
        return events.pop(0)

    async def send(event):
        sent.append(event)

    headers = [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": None}
    await app(scope, receive, send)
    return sent[0]["status"]

async def main():
    document = agent.register("Whoever answers says it back.\\n", lambda body: body, effect="safe")
    wire = {"protocolDigest": document, "protocolHash": document, "protocolSources": [], "body": "hello"}
    told["statuses"] = [await ask("POST", "/", wire)]
    told["agora"] = begun()
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for name, method, path in (
        ("mcp", "POST", "/mcp"),
        ("a2a", "GET", "/.well-known/agent-card.json"),
        ("anp", "GET", "/.well-known/agent-descriptions"),
    ):
        told["statuses"].append(await ask(method, path, ping))
        told[name] = begun()

asyncio.run(main())
print(json.dumps(told))
"""
DOORS = {"mcp": "negotiator.mcp.door", "a2a": "negotiator.a2a.door", "anp": "negotiator.anp.door"}
NOT_AT_FIRST = (
    *("negotiator.mcp.", "negotiator.a2a.", "negotiator.anp.", "negotiator.dialects.a2a", "negotiator.dialects.anp"),
    *("negotiator.identity.checker", "negotiator.identity.identity", "negotiator.identity.resolver"),
    *("negotiator.oauth.checker", "negotiator.oauth.authorizer", "negotiator.oauth.metadata"),
    *(
        "negotiator.directory",
        "negotiator.transports.http_client",
        "negotiator.frameworks.at_hand",
        "negotiator.together",
    ),
    *("httpx", "cryptography", "jwt", "aiohttp", "rich", "uvicorn"),
)


def test_an_agent_loads_what_its_first_request_needs_and_each_door_when_somebody_comes_to_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    told = orjson.loads(ran.stdout)
    assert told["statuses"] == [200, 200, 200, 200]
    for stage in ("agent", "agora"):
        assert [name for name in told[stage] if name.startswith(NOT_AT_FIRST)] == []
    for at, name in enumerate(DOORS):
        there = {door for door, module in DOORS.items() if module in told[name]}
        assert there == set(list(DOORS)[: at + 1])


async def spell(town: str) -> dict[str, str]:
    """Name a town."""
    return {"called": town}


def offering() -> Agent:
    agent = Agent(model="none", state="memory")
    agent.tool(effect="safe")(spell)
    for document in DOCUMENTS:
        agent.engine.documents.put(document)
    return agent


def made_for(document_hash: str, toolset: str) -> Routine:
    into = Mapping((FieldMapping(to="/town", source="/town", required=True),))
    back = Mapping((FieldMapping(to="/town", source="/called", required=True),))
    return Routine(
        protocol_hash=document_hash,
        role="receiver",
        kind="mapping",
        key_digest=toolset,
        into=Direction(mapping=into),
        back=Direction(mapping=back),
        tool="spell",
        state="serving",
        verdict=Verdict(passed=True, basis="exact"),
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many rows of routines were looked at, read and compiled."""
    counts: Counter[str] = Counter()
    read, compiled, looked = Routine.from_json, Runnable.__init__, RoutineCache._entry

    def reading(value: Any) -> Routine:
        counts["read"] += 1
        return read(value)

    def compiling(self: Runnable, *given: Any) -> None:
        counts["compiled"] += 1
        compiled(self, *given)

    def looking(self: RoutineCache, place: str) -> Any:
        counts["rows"] += 1
        return looked(self, place)

    monkeypatch.setattr(Routine, "from_json", reading)
    monkeypatch.setattr(Runnable, "__init__", compiling)
    monkeypatch.setattr(RoutineCache, "_entry", looking)
    return counts


async def test_of_many_stored_routines_the_first_request_reads_and_compiles_its_own(counted: Counter[str]) -> None:
    agent = offering()
    kept = agent.engine.routines
    for document in DOCUMENTS:
        kept.put(made_for(document.hash, agent.engine.toolset))
    # A shelf with nothing ready, over the same rows: what a process has that begins.
    agent.engine.routines = RoutineShelf(kept._cache, agent.engine.run_source)
    counted.clear()
    handler = agent.handler()
    assert counted == Counter()
    for nth, document in enumerate(DOCUMENTS[:3], start=1):
        wire = {"protocolDigest": document.hash, "protocolSources": [], "body": {"town": "Ulm"}}
        request = WireRequest(
            method="POST", path="/", headers={"content-type": "application/json"}, body=orjson.dumps(wire)
        )
        reply = orjson.loads((await handler(request)).body)
        assert (reply["status"], reply["body"]) == ("success", {"town": "Ulm"})
        assert counted == Counter(rows=nth, read=nth, compiled=nth)


async def test_a_stored_routine_is_checked_when_it_is_first_needed(counted: Counter[str]) -> None:
    agent = offering()
    toolset = agent.engine.toolset
    kept, names = agent.engine.routines, [document.hash for document in DOCUMENTS[:3]]
    for name in names:
        kept.put(made_for(name, toolset))
    rows = {name: place for place in agent.engine.text.keys("routine") if (name := _hash_in(agent, place)) is not None}
    broken = rows[names[1]]
    text = agent.engine.text.get(broken)
    assert text is not None
    agent.engine.text.put(broken, text.replace("/town", "/city"))
    kept.demote(made_for(names[2], toolset), "a test")
    fresh = RoutineShelf(kept._cache, agent.engine.run_source)
    counted.clear()
    served = [fresh.serving(name, "receiver", toolset) is not None for name in names]
    assert served == [True, False, False]
    # The row that somebody else wrote is not read at all.
    assert counted == Counter(rows=3, read=2, compiled=2)


def _hash_in(agent: Agent, place: str) -> str | None:
    text = agent.engine.text.get(place) or ""
    return next((document.hash for document in DOCUMENTS if document.hash in text), None)
