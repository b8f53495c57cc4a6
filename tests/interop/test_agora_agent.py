"""The published package, agora-protocol 0.2.0, in either agent's place opposite an `Agent`, over real HTTP.

Only the models are scripted, on both sides. The package runs in an environment of its own.
"""

import itertools
import json
import re

import pytest

from negotiator import Agent, CostPolicy, NotPossible, PeerFailed, PeerUnreachable, Task, ToolFailed
from negotiator.models.scripted import ScriptedModel
from negotiator.transports.http_client import HTTPTransport
from protocol_docs import DataUri, read_source, spell

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

NEVER = {"protocol_threshold": 1000, "negotiation_threshold": 1000, "implementation_threshold": 1000}
AT_ONCE = {"protocol_threshold": 0, "negotiation_threshold": 0, "implementation_threshold": 1000}
EAGER = CostPolicy(agreement_in_interpreted=1.0)
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TEMPERATURE = {
    "type": "object",
    "properties": {"temperature": {"type": "integer"}},
    "required": ["temperature"],
    "additionalProperties": False,
}

# --- our side's model: it reads what the package's partner writes ---

_FENCED = re.compile(r"<<<begin data (\w+)\n(.*?)\n<<<end data \1", re.DOTALL)
HANDLE = """```python
def handle(request):
    return {"temperature": temperature(city=request["city"])["temperature"]}
```"""


def read_city(messages, _schema):
    said = _FENCED.findall(messages[1].content)[-1][1]
    return {"answer": {"city": re.findall(r'\bin (\w+)|"city": ?"(\w+)"', said)[-1][said.startswith("{")]}}


def read_degrees(messages, _schema):
    said = _FENCED.findall(messages[1].content)[-1][1]
    return {"answer": {"temperature": int(re.search(r"-?\d+", said)[0])}}


def write_degrees(messages, _schema):
    return re.search(r'\{"temperature":-?\d+\}', messages[1].content)[0]


def judge(messages, _schema):
    return {"verdict": "accepts" if "ACCEPT" in messages[1].content else "objects"}


def reader(**changed):
    """A model that can do all that is needed here, but for `changed`."""
    answers = {
        "choose_tool": {"tool": "temperature"},
        "read_request": read_city,
        "read_reply": read_degrees,
        "write_reply": write_degrees,
        "write_receiver": HANDLE,
        "judge_reply": judge,
    }
    return ScriptedModel({**answers, **changed})


def purposes(model):
    return [call.purpose for call in model.calls]


# --- the package's sender against our receiver ---


def offering(model, **options):
    """An agent that knows temperatures, and the cities it was asked for."""
    agent = Agent(model, **{"state": "memory", **options})
    asked = []

    @agent.tool(effect="safe", input=CITY, output=TEMPERATURE)
    def temperature(city):
        """Look up the temperature of a city."""
        asked.append(city)
        if city == "Nowhere":
            raise ToolFailed("a secret", for_peer="there is no such city")
        return {"temperature": 10 + len(city)}

    return agent, asked


def test_its_sender_asks_our_agent_in_words(agora_orders, serve_app):
    model = reader()
    agent, asked = offering(model)
    ran = agora_orders(do="ask", target=serve_app(agent.asgi(), agent).url, cities=["Rome", "Oslo"], thresholds=NEVER)
    assert ran["results"] == [{"value": 14}, {"value": 14}]
    assert asked == ["Rome", "Oslo"]
    assert list(agent.engine.text.keys("conversation/")) == [], "it closes each conversation"


def test_its_sender_goes_on_in_a_conversation_and_closes_it(agora_orders, serve_app):
    agent, asked = offering(reader())
    ran = agora_orders(do="ask", target=serve_app(agent.asgi(), agent).url, cities=["Chatty"], thresholds=NEVER)
    assert ran["results"] == [{"value": 14}]
    assert asked == ["Chatty", "Rome"]
    assert list(agent.engine.text.keys("conversation/")) == []


def test_two_workers_with_one_state_carry_its_conversation_on(agora_orders, serve_app, tmp_path):
    models = [reader(), reader()]
    workers = [offering(model, state=tmp_path)[0] for model in models]
    served = serve_app(_in_turn(*(worker.asgi() for worker in workers)), *workers)
    ran = agora_orders(do="ask", target=served.url, cities=["Chatty"], thresholds=NEVER)
    assert ran["results"] == [{"value": 14}]
    assert [purposes(model) for model in models] == [["choose_tool", "read_request"]] * 2
    assert "How warm is it in Chatty?" in models[1].calls[0].messages[1].content, "the second knows of the first round"
    assert list(workers[0].engine.text.keys("conversation/")) == []


def _in_turn(*apps):
    turns = itertools.cycle(apps)

    async def app(scope, receive, send):
        await next(turns)(scope, receive, send)

    return app


def test_a_document_of_its_own_earns_a_routine_by_shadow_runs(agora_orders, serve_app):
    model = reader()
    agent, asked = offering(model)
    served = serve_app(agent.asgi(), agent)

    def ask(*cities, **order):
        ran = agora_orders(do="ask", target=served.url, cities=cities, thresholds=NEVER, know=True, **order)
        served.settle()
        return ran["results"]

    assert ask("Rome") == [{"value": 14}]
    assert purposes(model) == ["choose_tool", "read_request", "write_reply"], "one exchange does not pay for a routine"
    assert ask("Paris", routine=True) == [{"value": 15}]
    assert purposes(model)[3:] == ["choose_tool", "read_request", "write_reply", "write_receiver"]
    assert ask("Lima") == [{"value": 14}]
    (routine,) = agent.routines()
    assert (routine.whole, routine.serving, routine.verdict.basis) == (True, True, "shadow_only")
    called = len(model.calls)
    assert ask("Oslo", "Vienna") == [{"value": 14}, {"value": 16}]
    assert ask("Cairo", routine=True) == [{"value": 15}]
    assert len(model.calls) == called, "a routine needs no model"
    assert asked == ["Rome", "Paris", "Lima", "Oslo", "Vienna", "Cairo"], "and shadow runs no tool"


@pytest.mark.parametrize("model", ["none", "scripted"])
def test_it_takes_what_our_agent_offers_and_both_sides_mean_one_hash(agora_orders, serve_app, model):
    silent = ScriptedModel({})
    agent, asked = offering(silent if model == "scripted" else "none")
    served = serve_app(agent.asgi(), agent)
    ran = agora_orders(do="ask", target=served.url, cities=["Rome", "Paris"], thresholds=AT_ONCE, takes="offered")
    assert ran["results"] == [{"value": 14}, {"value": 15}]
    assert ran["calls"] == {"negotiation": 2, "conversation": 2}
    (agreed,) = agent.engine.agreements.served(agent.engine.toolset)
    assert ran["known"] == [spell(agent.engine.documents.get(agreed), "sha1-base64")]
    (routine,) = agent.routines()
    assert (routine.protocol_hash, routine.verdict.basis) == (agreed, "exact")
    assert silent.calls == []
    assert asked == ["Rome", "Paris"]


def test_with_its_own_thresholds_the_models_of_both_sides_fall_silent(agora_orders, serve_app):
    model = reader()
    agent, asked = offering(model)
    target = serve_app(agent.asgi(), agent).url
    ran = agora_orders(do="ask", target=target, cities=["Rome"] * 20, takes="offered")
    assert ran["results"] == [{"value": 14}] * 20
    assert ran["calls"] == {"conversation": 15, "negotiation": 2, "programming": 1}
    assert purposes(model) == ["choose_tool", "read_request"] * 10
    assert len(asked) == 20


def test_a_negotiation_that_comes_to_nothing_is_ended_by_it_and_it_asks_in_words(agora_orders, serve_app):
    agent = Agent(reader(choose_tool={"tool": "none"}), state="memory")

    @agent.tool(effect="safe", input={"type": "object"}, output={"type": "string"}, inline=True)
    def horoscope():
        """Read the stars."""
        return "Beware of Mondays."

    served = serve_app(agent.asgi(), agent)
    ran = agora_orders(do="ask", target=served.url, cities=["Rome"], thresholds=AT_ONCE, takes="offered")
    assert ran["calls"] == {"negotiation": 10, "conversation": 1}
    assert ran["known"] == []
    assert ran["results"][0]["error"].startswith("ExecutionError")
    assert agent.engine.agreements.served(agent.engine.toolset) == []
    assert list(agent.engine.text.keys("conversation/")) == []


@pytest.mark.parametrize("order", [{}, {"know": True}, {"know": True, "routine": True}])
def test_a_tool_that_fails_is_an_error_to_it_and_it_asks_on(agora_orders, serve_app, order):
    agent, asked = offering(reader())
    target = serve_app(agent.asgi(), agent).url
    ran = agora_orders(do="ask", target=target, cities=["Nowhere", "Rome"], thresholds=NEVER, **order)
    assert "error" in ran["results"][0]
    assert "secret" not in json.dumps(ran)
    assert ran["results"][1] == {"value": 14}
    assert asked[-1] == "Rome"


def test_a_document_that_our_agent_cannot_serve_is_rejected_and_it_hears_so(agora_orders, serve_app):
    agent, asked = offering("none")
    target = serve_app(agent.asgi(), agent).url
    ran = agora_orders(do="ask", target=target, cities=["Rome"], thresholds=NEVER, know=True)
    assert ran["results"][0]["error"].startswith("ExecutionError")
    assert asked == []


def test_two_workers_with_one_state_agree_as_one(agora_orders, serve_app, tmp_path):
    workers = [offering(ScriptedModel({}), state=tmp_path)[0] for _ in range(2)]
    served = serve_app(_in_turn(*(worker.asgi() for worker in workers)), *workers)
    cities = ["Rome", "Paris", "Oslo"]
    ran = agora_orders(do="ask", target=served.url, cities=cities, thresholds=AT_ONCE, takes="offered")
    assert ran["results"] == [{"value": 14}, {"value": 15}, {"value": 14}]
    agreed = [worker.engine.agreements.served(worker.engine.toolset) for worker in workers]
    assert agreed[0] == agreed[1]
    assert len(agreed[0]) == 1


# --- our sender against the package's receiver ---


class Seen(HTTPTransport):
    """What is sent over HTTP."""

    def __init__(self):
        super().__init__()
        self.requests = []

    async def send(self, base_url, request, *, deadline):
        self.requests.append(request)
        return await super().send(base_url, request, deadline=deadline)

    def envelopes(self):
        return [json.loads(request.body) for request in self.requests if request.method == "POST"]


@pytest.fixture
def transport():
    return Seen()


@pytest.fixture
def model():
    return reader()


@pytest.fixture
async def caller(model, transport):
    async with Agent(model, state="memory", transport=transport, cost_policy=EAGER) as agent:
        yield agent


def task(name, **options):
    """A task of its own for each test: what the peer learns under one document is not another's."""
    return Task(f"{name}: tell the temperature of a city", input=CITY, output=TEMPERATURE, effect="safe", **options)


async def test_our_agent_asks_its_receiver_in_words(caller, agora_receiver, model):
    outcome = await caller.ask(agora_receiver, task("Words"), {"city": "Paris"})
    assert (outcome.output, outcome.tier, outcome.peer_tier) == ({"temperature": 15}, "natural_language", "unknown")
    assert purposes(model) == ["read_reply"]


async def test_it_accepts_our_document_and_no_model_is_called_again(caller, agora_peer, model, transport):
    wanted = task("Agreement")
    await caller.ask(agora_peer.url, wanted, {"city": "Rome"})
    await caller.settle()
    agreed = caller.engine.agreements.find(wanted.digest, agora_peer.url)
    document = caller.engine.documents.get(agreed.protocol_hash)
    called = len(model.calls)
    outcomes = [await caller.ask(agora_peer.url, wanted, {"city": city}) for city in ("Paris", "Oslo", "Vienna")]
    assert [outcome.output["temperature"] for outcome in outcomes] == [15, 14, 16]
    assert {outcome.tier for outcome in outcomes} == {"routine"}
    assert {outcome.protocol_hash for outcome in outcomes} == {document.hash}
    assert len(model.calls) == called
    sent = transport.envelopes()[-1]
    assert sent["protocolHash"] == spell(document, "sha1-base64")
    (source,) = sent["protocolSources"]
    assert read_source(source) == DataUri(document.data)
    assert json.loads(sent["body"]) == {"city": "Vienna"}


async def test_the_routines_of_both_sides_talk_without_a_model(caller, agora_peer, model):
    wanted = task("Both")
    await caller.ask(agora_peer.url, wanted, {"city": "Rome"})
    await caller.settle()
    for _ in range(5):  # the package writes its routine at the fifth use
        await caller.ask(agora_peer.url, wanted, {"city": "Rome"})
    before = len(model.calls), agora_peer.calls()
    for city in ("Paris", "Oslo") * 5:
        outcome = await caller.ask(agora_peer.url, wanted, {"city": city})
        assert (outcome.output["temperature"], outcome.tier) == (10 + len(city), "routine")
    assert (len(model.calls), agora_peer.calls()) == before


async def test_a_second_start_of_our_agent_calls_no_model(agora_peer, tmp_path):
    wanted = task("Second start")
    async with Agent(reader(), state=tmp_path, cost_policy=EAGER) as caller:
        await caller.ask(agora_peer.url, wanted, {"city": "Rome"})
        await caller.settle()
    negotiated = agora_peer.calls()["negotiation"]
    async with Agent(ScriptedModel({}), state=tmp_path, cost_policy=EAGER) as again:
        outcome = await again.ask(agora_peer.url, wanted, {"city": "Paris"})
    assert (outcome.output, outcome.tier, outcome.usage.calls) == ({"temperature": 15}, "routine", 0)
    assert agora_peer.calls()["negotiation"] == negotiated


async def test_without_a_model_our_agent_negotiates_first_and_then_asks(agora_peer):
    async with Agent("none", state="memory") as caller:
        outcome = await caller.ask(agora_peer.url, task("Modelless"), {"city": "Paris"})
    assert (outcome.output, outcome.tier, outcome.usage.calls) == ({"temperature": 15}, "routine", 0)


async def test_words_that_are_neither_yes_nor_no_are_asked_about_once(caller, agora_peer, model, transport):
    wanted = task("Ponder")
    await caller.ask(agora_peer.url, wanted, {"city": "Rome"})
    await caller.settle()
    assert purposes(model) == ["read_reply", "judge_reply"]
    assert (await caller.ask(agora_peer.url, wanted, {"city": "Paris"})).tier == "routine"
    assert [request.method for request in transport.requests].count("DELETE") == 1, "the negotiation was closed"


@pytest.mark.parametrize("ours", ["none", "scripted"])
async def test_a_receiver_that_speaks_to_its_model_by_langchain_is_understood(agora_peer, ours):
    # Its second answer comes with the first before it, twice.
    model = reader(judge_reply={"verdict": "unclear"})
    async with Agent("none" if ours == "none" else model, state="memory", cost_policy=EAGER) as caller:
        wanted = task(f"Ponder {ours} chains")
        if ours == "scripted":
            first = await caller.ask(agora_peer.langchain, wanted, {"city": "Rome"})
            assert (first.output, first.tier) == ({"temperature": 14}, "natural_language")
            await caller.settle()
        for city in ("Paris", "Oslo", "Lima", "Vienna", "Rome", "Cairo"):
            outcome = await caller.ask(agora_peer.langchain, wanted, {"city": city})
            assert (outcome.output, outcome.tier) == ({"temperature": 10 + len(city)}, "routine")
            assert outcome.usage.calls == 0


async def test_no_agreement_is_remembered_and_the_peer_is_asked_in_words(caller, agora_peer, transport):
    wanted = task("Quibble")
    await caller.ask(agora_peer.url, wanted, {"city": "Rome"})
    await caller.settle()
    assert caller.engine.agreements.find(wanted.digest, agora_peer.url) is None
    why = caller.engine.agreements.refused(wanted.digest, agora_peer.url)
    assert "no country, no answer" in why
    negotiated = agora_peer.calls()["negotiation"]
    for _ in range(3):
        outcome = await caller.ask(agora_peer.url, wanted, {"city": "Paris"})
        await caller.settle()
        assert (outcome.output, outcome.tier) == ({"temperature": 15}, "natural_language")
    assert agora_peer.calls()["negotiation"] == negotiated
    assert [request.method for request in transport.requests].count("DELETE") == 1


async def test_an_objection_is_no_agreement_without_a_model_either(agora_peer):
    async with Agent("none", state="memory") as caller:
        with pytest.raises(NotPossible, match="no country, no answer"):
            await caller.ask(agora_peer.url, task("Quibble"), {"city": "Rome"})


async def test_a_document_that_it_rejects_after_all_is_dropped_and_the_request_is_asked_in_words(
    caller, agora_peer, transport
):
    wanted = task("Teleport")
    await caller.ask(agora_peer.url, wanted, {"city": "Rome"})
    await caller.settle()
    assert caller.engine.agreements.find(wanted.digest, agora_peer.url) is not None
    outcome = await caller.ask(agora_peer.url, wanted, {"city": "Paris"})
    assert (outcome.output, outcome.tier) == ({"temperature": 15}, "natural_language")
    assert "fall_back" in [step.what for step in outcome.trace]
    assert caller.engine.agreements.find(wanted.digest, agora_peer.url) is None
    sent = len(transport.envelopes())
    await caller.ask(agora_peer.url, wanted, {"city": "Oslo"})
    assert [envelope["protocolHash"] for envelope in transport.envelopes()[sent:]] == [None], "it is not tried again"


async def test_its_error_is_a_failed_peer_in_words_and_under_a_document(caller, agora_peer):
    wanted = task("Failing")
    with pytest.raises(PeerFailed, match="there is no such city"):
        await caller.ask(agora_peer.url, wanted, {"city": "Nowhere"})
    await caller.ask(agora_peer.url, wanted, {"city": "Rome"})
    await caller.settle()
    with pytest.raises(PeerFailed):
        await caller.ask(agora_peer.url, wanted, {"city": "Nowhere"})
    outcome = await caller.ask(agora_peer.url, wanted, {"city": "Paris"})
    assert (outcome.output, outcome.tier) == ({"temperature": 15}, "routine"), "its failure is not our routine's"


async def test_a_receiver_that_restarts_and_has_forgotten_all_is_served_by_the_same_routine(
    caller, start_agora_receiver, model
):
    wanted = task("Restart")
    first = start_agora_receiver()
    await caller.ask(first.url, wanted, {"city": "Rome"})
    await caller.settle()
    assert (await caller.ask(first.url, wanted, {"city": "Rome"})).tier == "routine"
    called = len(model.calls)
    first.end()
    with pytest.raises(PeerUnreachable):
        await caller.ask(first.url, wanted, {"city": "Paris"})
    again = start_agora_receiver(first.port)
    outcome = await caller.ask(again.url, wanted, {"city": "Paris"})
    assert (outcome.output, outcome.tier) == ({"temperature": 15}, "routine")
    assert len(model.calls) == called
    assert again.calls() == {"protocolChecking": 1, "conversation": 1}
