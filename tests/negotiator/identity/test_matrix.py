"""One table for all wire languages: who x how they say who they are x language x tier x effect x public x table.

What is expected is said here once more, without the code that decides it. Each request goes through the gate and the
door of its language, so that a door that forgot who asks, or that reached a tool by another way, would be seen here.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import pytest

from negotiator import Agent, CostPolicy
from negotiator.clock import Deadline
from negotiator.dialects.a2a.extension import DOCUMENT, URI
from negotiator.identity import (
    EVERYBODY,
    Authority,
    Identity,
    MemorySigner,
    Revocations,
    TrustPolicy,
    current_principal,
)
from negotiator.identity.signing import signing
from negotiator.messages import Effect
from negotiator.models.scripted import ScriptedModel
from negotiator.oauth import Issuer, ProtectedResource
from negotiator.oauth.checker import TokenChecker
from negotiator.plan import NEVER, Counts
from negotiator.schemas import Schema
from negotiator.testing import VirtualClock
from negotiator.transports.memory import MemoryTransport
from negotiator.wire import WireReply, WireRequest
from protocol_docs import ProtocolDocument, catalog
from tests.negotiator.oauth import issuer as issuers

pytestmark = pytest.mark.anyio

HERE: Final = "https://hotel.example"
ROOM: Final = {"room": "12"}
TAKES: Final = {
    "type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"], "additionalProperties": False,
}  # fmt: skip
ASKED: Final = "Please take number 12"
PROSE: Final = ProtocolDocument.from_text(
    "---\nname: rooms\ndescription: Take a room\nmultiround: false\n---\nSay the room, or ask in words."
)
SIGNER: Final = MemorySigner()
THERE_SIGNER: Final = MemorySigner()
THERE: Final = Identity.in_memory("https://partner.example", signer=THERE_SIGNER)
NAMES: Final = {
    "nobody": "anonymous",
    "signature": THERE.did,
    "bearer token after a signature": THERE.did,
    "oauth token": "oauth:https://login.example#alice",
    "host's middleware": "host:alice",
}
"""How a caller says who it is -> whom the agent takes it for."""


# --- what is expected ---

TABLES: Final = ("default", "routine", "structured", "natural_language", "for others", "empty")
WAYS: Final = ("routine", "structured", "structured, in words", "natural_language")
"""How a request is brought. In the third a model reads the arguments out of a text, under a document without schemas."""


def table_of(name: str, principal: str) -> Authority:
    if name == "default":
        return Authority()
    if name == "empty":
        return Authority(())
    if name == "for others":
        others = [each for each in NAMES.values() if each != principal]
        made = Authority(()).allowing("did:web:somebody.example")
        for each in others:
            made = made.allowing(each)
        return made
    tier: Any = name
    return Authority(()).allowing(principal, tools="act", tiers=tier)


def expected(table: str, principal: str, way: str, effect: Effect, *, public: bool) -> bool:
    """Whether the tool runs."""
    if table != "default":
        return table == way
    if principal != "anonymous":
        return True
    by_words = way in ("natural_language", "structured, in words")
    return public and not (by_words and effect == "transactional")


# --- the languages ---


@dataclass(frozen=True)
class Language:
    """How the ways are said in one wire language, and whether a reply says that it was done."""

    ways: dict[str, WireRequest]
    done: Callable[[WireReply], bool]


def posted(path: str, message: Any, **headers: str) -> WireRequest:
    said = {"content-type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
    return WireRequest(path=path, headers=said, body=json.dumps(message).encode())


def agora() -> Language:
    def asked(body: Any, document: str | None) -> WireRequest:
        text = body if isinstance(body, str) else json.dumps(body)
        return posted("/", {"protocolHash": document, "body": text, "protocolSources": []})

    direct = catalog.direct_json().hash
    ways = {
        "routine": asked({"task": "act", "input": ROOM}, direct),
        "structured": asked(ROOM, PROSE.hash),
        "structured, in words": asked({"request": ASKED}, PROSE.hash),
        "natural_language": asked(ASKED, None),
    }
    return Language(ways, lambda reply: json.loads(reply.body)["status"] == "success")


_META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.github.metaparley/protocol-documents": {}}},
}


def mcp(version: str) -> Language:
    modern = version == "2026-07-28"

    def asked(method: str, name: str | None = None, **params: Any) -> WireRequest:
        params |= {"_meta": _META} if modern else {}
        params |= {} if name is None else {"name": name}
        headers = {"accept": "application/json", "mcp_protocol_version": version}
        headers |= {"mcp_method": method} if modern else {}
        headers |= {"mcp_name": name} if modern and name is not None else {}
        return posted("/mcp", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, **headers)

    def under(body: Any) -> WireRequest:
        said = {"hash": PROSE.hash, "body": body}
        return asked("pd/use", **said) if modern else asked("tools/call", "use_document", arguments=said)

    def done(reply: WireReply) -> bool:
        told = json.loads(reply.body)
        return "result" in told and told["result"].get("isError") is not True

    ways = {
        "routine": asked("tools/call", "act", arguments=ROOM),
        "routine, by a task": asked("tools/call", "run_task", arguments={"task": "act", "input": ROOM}),
        "structured": under(ROOM),
        "structured, in words": under({"request": ASKED}),
        "natural_language": asked("tools/call", "ask_in_words", arguments={"request": ASKED}),
    }
    return Language(ways, done)


def a2a(version: str) -> Language:
    numbers = count()

    def asked(part: Any, *, stream: bool = False, **metadata: Any) -> WireRequest:
        earlier = version == "0.3"
        method = ("message/stream" if stream else "message/send") if earlier else "SendMessage"
        method = "SendStreamingMessage" if stream and not earlier else method
        kind = {"kind": next(iter(part))} if earlier else {}
        message = {
            "messageId": f"a-message-of-its-own-{next(numbers)}",
            "role": "user" if earlier else "ROLE_USER",
            "parts": [{**kind, **part}],
            "metadata": metadata,
            **({"kind": "message"} if earlier else {}),
        }
        said = {"jsonrpc": "2.0", "id": "1", "method": method, "params": {"message": message}}
        return posted("/a2a", said, a2a_version=version, a2a_extensions=URI)

    def done(reply: WireReply) -> bool:
        text = reply.body.decode()
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
        told = events[-1] if events else json.loads(text)
        found = json.dumps(told.get("result", {}))
        return "result" in told and not any(word in found for word in ("rejected", "REJECTED", "failed", "FAILED"))

    ways = {
        "routine": asked({"data": ROOM}, skillId="act"),
        "routine, streamed": asked({"data": ROOM}, stream=True, skillId="act"),
        "structured": asked({"data": ROOM}, **{DOCUMENT: PROSE.hash}),
        "structured, in words": asked({"data": {"request": ASKED}}, **{DOCUMENT: PROSE.hash}),
        "natural_language": asked({"text": ASKED}),
        "natural_language, streamed": asked({"text": ASKED}, stream=True),
    }
    return Language(ways, done)


def anp() -> Language:
    def asked(method: str, params: Any, path: str = "/anp/rpc") -> WireRequest:
        return posted(path, {"jsonrpc": "2.0", "id": "1", "method": method, "params": params})

    named = "document." + PROSE.hash.removeprefix("sha256:")
    ways = {
        "routine": asked("act", ROOM),
        "structured": asked(named, ROOM),
        "structured, in words": asked(named, {"request": ASKED}),
        "natural_language": asked("ask", {"request": ASKED}, "/anp/words"),
    }
    return Language(ways, lambda reply: "result" in json.loads(reply.body))


LANGUAGES: Final[dict[str, Callable[[], Language]]] = {
    "agora": agora,
    "mcp-2026-07-28": lambda: mcp("2026-07-28"),
    "mcp-2025-11-25": lambda: mcp("2025-11-25"),
    "a2a-1.0": lambda: a2a("1.0"),
    "a2a-0.3": lambda: a2a("0.3"),
    "anp": anp,
}


# --- an agent, and callers of each kind ---


@dataclass
class Hotel:
    """An agent with one tool."""

    agent: Agent
    clock: VirtualClock
    issuer: issuers.Issuer
    ran_for: list[str]
    model: ScriptedModel
    scope: str | None = None
    """What the OAuth token is good for."""

    def __post_init__(self) -> None:
        self.handler = self.agent.handler()
        self.memory = MemoryTransport({HERE: self.handler})
        numbers = count()
        there = Identity.in_memory("https://partner.example", signer=THERE_SIGNER, clock=self.clock)
        self.client = signing(self.memory, there, self.clock, lambda: f"nonce-of-its-own-{next(numbers)}")

    async def send(self, how: str, wire: WireRequest) -> WireReply:
        """A request of a caller who says in this way who it is."""
        sent = self.memory.send
        deadline = Deadline.after(60, self.clock)
        match how:
            case "signature":
                self.client._tokens.clear()
                return await self.client.send(HERE, wire, deadline=deadline)
            case "bearer token after a signature":
                card = WireRequest(method="GET", path="/.well-known/agent-card.json")
                await self.client.send(HERE, card, deadline=deadline)
                assert self.client._tokens, "the reply to a signature brings a token"
                return await self.client.send(HERE, wire, deadline=deadline)
            case "oauth token":
                token = self.issuer.token(HERE, scope=self.scope)
                wire = replace(wire, headers={**wire.headers, "authorization": f"Bearer {token}"})
            case "host's middleware":
                return await self._through_host(wire)
        return await sent(HERE, wire, deadline=deadline)

    async def _through_host(self, wire: WireRequest) -> WireReply:
        """Over ASGI, below a program that has found out that it is alice."""
        app = self.agent.asgi(principal_of=lambda scope: str(scope["user"]))
        headers = [(name.encode(), value.encode()) for name, value in wire.headers.items()]
        scope = {"type": "http", "method": wire.method, "path": wire.path, "headers": headers, "user": "alice"}
        told: list[dict[str, Any]] = []
        comes = iter([{"type": "http.request", "body": wire.body}])

        async def receive() -> dict[str, Any]:
            for event in comes:
                return event
            return await asyncio.get_running_loop().create_future()  # it never leaves

        async def send(event: dict[str, Any]) -> None:
            told.append(event)

        await app(scope, receive, send)
        body = b"".join(event.get("body", b"") for event in told)
        return WireReply(status=told[0]["status"], body=body)


Made = Callable[..., Awaitable[Hotel]]


@pytest.fixture
async def hotel() -> AsyncIterator[Made]:
    made: list[Agent] = []

    async def make(
        authority: Authority,
        effect: Effect = "safe",
        *,
        public: bool = True,
        model: Any = None,
        takes: Any = TAKES,
    ) -> Hotel:
        clock, ran_for = VirtualClock(), list[str]()
        issuer = issuers.Issuer(clock=clock)
        resource = ProtectedResource(url=HERE, issuers=(Issuer(url=issuer.url),))
        model = model or ScriptedModel(
            {"choose_tool": {"tool": "act"}, "read_request": {"answer": ROOM}, "write_reply": "done"}
        )
        there = Identity.in_memory("https://partner.example", signer=THERE_SIGNER, clock=clock)

        async def did_document(_url: str) -> bytes:
            return await there.document()

        agent = Agent(
            model,
            state="memory",
            clock=clock,
            identity=Identity.in_memory(HERE, signer=SIGNER, clock=clock),
            resource=resource,
            authority=authority,
            did_documents=did_document,
            cost_policy=CostPolicy(counts=Counts(look=NEVER, agree=NEVER, routine=NEVER), shadow_exchanges=NEVER),
        )
        made.append(agent)
        # What it fetches comes from the issuer, in place of the network.
        revoked = Revocations(agent.engine.text)
        agent._tokens = TokenChecker(resource, issuer.exchange, clock, lambda: "n", revocations=revoked)

        @agent.tool(effect=effect, public=public, input=takes, output={"type": "string"})
        async def act(room: str) -> str:
            """Take a room."""
            ran_for.append(current_principal())
            return f"{room} is taken"

        agent.engine.documents.put(PROSE)
        agent.engine.meant[PROSE.hash] = "act"
        return Hotel(agent, clock, issuer, ran_for, model)

    yield make
    for agent in made:
        await agent.aclose()


# --- the matrix ---


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("how", NAMES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_table_holds_in_every_language(hotel: Made, language: str, how: str, table: str) -> None:
    principal, spoken = NAMES[how], LANGUAGES[language]()
    found, wanted = {}, {}
    effects: tuple[Effect, ...] = ("safe", "transactional")
    for effect in effects:
        for public in (True, False):
            served = await hotel(table_of(table, principal), effect, public=public)
            for said, wire in spoken.ways.items():
                served.ran_for.clear()
                reply = await served.send(how, wire)
                way = said if said in WAYS else said.partition(",")[0]
                runs = expected(table, principal, way, effect, public=public)
                cell = (said, effect, "public" if public else "not public")
                wanted[cell] = ([principal] if runs else [], runs)
                found[cell] = (list(served.ran_for), spoken.done(reply))
    assert found == wanted


async def test_each_way_is_of_the_tier_that_it_is_here_for(hotel: Made) -> None:
    """Else the table would be tried on one tier, thrice."""
    tiers = {"routine": set(), "structured": {"read_request", "write_reply"}}
    words = {"choose_tool", "read_request"}
    for language, make in LANGUAGES.items():
        for said, wire in make().ways.items():
            served = await hotel(Authority())
            assert make().done(await served.send("signature", wire)), (language, said)
            asked = {call.purpose for call in served.model.calls}
            assert asked == tiers.get(said.partition(",")[0], words), (language, said)


@pytest.mark.parametrize("how", [each for each in NAMES if each != "nobody"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_whom_the_trust_policy_does_not_hear_reaches_nothing_in_any_language(
    hotel: Made, language: str, how: str
) -> None:
    spoken = LANGUAGES[language]()
    wide = Authority().allowing("anonymous", effects="any")
    for listed in (True, False):
        for said, wire in spoken.ways.items():
            served = await hotel(wide)
            served.agent._trust = TrustPolicy(
                callers="listed", listed=(NAMES[how],) if listed else ("did:web:x.example",)
            )
            served.__post_init__()
            for who in (how, "nobody"):
                reply = await served.send(who, wire)
                heard = listed and who == how
                assert (bool(served.ran_for), reply.status in (401, 403)) == (heard, not heard), (said, who)
                served.ran_for.clear()


@pytest.mark.parametrize("scope", [None, "other", "room:take"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_tool_that_asks_for_a_scope_is_run_and_negotiated_for_tokens_that_have_it(
    hotel: Made, language: str, scope: str | None
) -> None:
    spoken = LANGUAGES[language]()
    for said, wire in spoken.ways.items():
        served = await hotel(Authority().asking("act", "room:take"))
        served.scope = scope
        done = spoken.done(await served.send("oauth token", wire))
        assert (done, bool(served.ran_for)) == ((scope == "room:take",) * 2), said
    if language == "anp":
        served = await hotel(Authority().asking("act", "room:take"))
        served.scope = scope
        assert served.agent.identity is not None
        wire = openings(served.agent.identity.did, "oauth:")["anp"]
        message = json.loads(wire.body)
        intent = {"name": "act", "description": "Take a room", "intentTags": ["effect.safe"]}
        message["params"]["body"] = {"intent": intent}
        told = json.loads((await served.send("oauth token", replace(wire, body=json.dumps(message).encode()))).body)
        assert ("result" in told) is (scope == "room:take"), told


@pytest.mark.parametrize("how", ["signature", "bearer token after a signature", "oauth token"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_who_is_revoked_reaches_nothing_from_the_next_request_on(hotel: Made, language: str, how: str) -> None:
    served = await hotel(Authority())
    spoken = LANGUAGES[language]()
    assert spoken.done(await served.send(how, spoken.ways["routine"]))
    token = dict(served.client._tokens)
    Revocations(served.agent.engine.text).revoke(NAMES[how])
    again = LANGUAGES[language]()
    served.ran_for.clear()
    for wire in again.ways.values():
        if how == "bearer token after a signature":
            # The one that it had: it is given no other.
            (had,) = {value for _, value in token.values()}
            shown = replace(wire, headers={**wire.headers, "authorization": f"Bearer {had}"})
            reply = await served.memory.send(HERE, shown, deadline=Deadline.after(60, served.clock))
        else:
            reply = await served.send(how, wire)
        assert reply.status in (401, 403)
    assert served.ran_for == []


@pytest.mark.parametrize("part", ["input", "output"])
@pytest.mark.parametrize("how", ["nobody", "signature"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_what_is_marked_sensitive_is_shown_to_no_model_in_any_language_or_tier(
    hotel: Made, language: str, how: str, part: str
) -> None:
    secret = {"type": "string", "x-sensitive": True}
    spoken = LANGUAGES[language]()
    for said, wire in spoken.ways.items():
        served = await hotel(EVERYBODY, takes={**TAKES, "properties": {"room": secret}})
        if part == "output":
            tool = served.agent.engine.tools["act"]
            told = replace(tool, input=Schema.of(TAKES), output=Schema.of(secret))
            served.agent.engine.tools["act"] = told
        done = spoken.done(await served.send(how, wire))
        await served.agent.settle()
        assert (done, bool(served.ran_for)) == ((True, True) if said.startswith("routine") else (False, False)), said
        assert served.model.calls == [], said


# --- negotiation and routines on a model that costs money ---


class _Paid(ScriptedModel):
    @property
    def name(self) -> str:
        return "openai/dear"


_OPENING: Final = {
    "type": "opening",
    "id": "n-1",
    "intent": {"name": "sleep", "description": "A bed for somebody who is tired", "effect": "safe"},
}


def openings(did: str, principal: str) -> dict[str, WireRequest]:
    """How a negotiation is begun in each language."""
    dialogue = catalog.negotiation_dialogue().hash
    meta = {"profile": "anp.meta.negotiation.v1", "security_profile": "transport-protected", "operation_id": "op-1"}
    meta |= {"target": {"kind": "agent", "did": did}}
    meta |= {"sender_did": principal} if principal.startswith("did:") else {}
    intent = {"intent": {**_OPENING["intent"], "intentTags": ["effect.safe"]}}  # type: ignore[dict-item]
    del intent["intent"]["effect"]
    core = {"jsonrpc": "2.0", "id": "1", "method": "anp.negotiate", "params": {"meta": meta, "body": intent}}
    found = {
        "agora": posted("/", {"protocolHash": dialogue, "body": json.dumps(_OPENING), "protocolSources": []}),
        "anp": posted("/anp", core),
    }
    for version in ("2026-07-28", "2025-11-25"):
        modern = version == "2026-07-28"
        params = {
            "name": "propose_document",
            "arguments": {"message": _OPENING},
            **({"_meta": _META} if modern else {}),
        }
        headers = {"accept": "application/json", "mcp_protocol_version": version}
        headers |= {"mcp_method": "tools/call", "mcp_name": "propose_document"} if modern else {}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        found[f"mcp-{version}"] = posted("/mcp", message, **headers)
    for version in ("1.0", "0.3"):
        wire = a2a(version).ways["structured"]
        message = json.loads(wire.body)
        told = message["params"]["message"]
        told["parts"][0]["data"] = _OPENING
        told["metadata"] = {DOCUMENT: dialogue}
        found[f"a2a-{version}"] = replace(wire, body=json.dumps(message).encode())
    return found


@pytest.mark.parametrize("how", NAMES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_strangers_have_nothing_negotiated_on_a_paid_model_in_any_language(
    hotel: Made, language: str, how: str
) -> None:
    for authority, pays in (
        (Authority(), NAMES[how] != "anonymous"),
        (Authority().allowing("anonymous", paid_model=True), True),
        (Authority(()).allowing(NAMES[how]), False),
    ):
        served = await hotel(authority, model=_Paid({"choose_tool": {"tool": "act"}}))
        assert served.agent.identity is not None
        wire = openings(served.agent.identity.did, NAMES[how])[language]
        reply = await served.send(how, wire)
        assert reply.status == 200
        assert bool(served.model.calls) is pays, reply.body
        assert served.ran_for == []
