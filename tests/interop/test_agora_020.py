"""The published package, agora-protocol 0.2.0, in either agent's place, over real HTTP.

Nothing of the package is imported here: its sender and its receiver run in an environment of their own, and only
the language model that they call is scripted.
"""

import itertools
import json
import re

import pytest

from negotiator.clock import Deadline, SystemClock
from negotiator.conversations import Conversations
from negotiator.errors import ToolFailed
from negotiator.messages import Reply, Request
from negotiator.reach import Reach
from negotiator.serving import AgoraDoor
from negotiator.transports.http_client import HTTPTransport
from protocol_docs import DataUri, MemoryTextStore, ProtocolDocument, as_data_uri, read_source, render_document

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

CLOCK = SystemClock()
NEVER = {"protocol_threshold": 1000, "negotiation_threshold": 1000, "implementation_threshold": 1000}
DOCUMENT = render_document(
    name="City temperature",
    description="Ask for the current temperature of a city.",
    body='The sender sends {"city": string}; the receiver answers {"temperature": integer}, in degrees Celsius.',
    annex=None,
)


class Agent:
    """A small agent: it knows temperatures, in words and under the package's document."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, tuple]] = []

    async def __call__(self, request, context):
        self.asked.append((request, context.history))
        if request.kind == "negotiation":
            return Reply(status="success", body="Fine with me, I am done.")
        if "Nowhere" in request.body:
            raise ToolFailed(for_peer="there is no such city")
        if not request.hashes:
            city = re.search(r"in (\w+)", request.body)[1]
            return Reply(status="success", body=f"It is {10 + len(city)} degrees.")
        sources = [read_source(source) for source in request.sources]
        documents = [ProtocolDocument.from_bytes(source.data) for source in sources if isinstance(source, DataUri)]
        if not any(set(request.hashes) <= set(document.aliases) for document in documents):
            return Reply(status="rejected", code="document_not_found")
        return Reply(status="success", body={"temperature": 10 + len(json.loads(request.body)["city"])})


@pytest.fixture
def store():
    return MemoryTextStore()


@pytest.fixture
def agent():
    return Agent()


@pytest.fixture
def handler(agent, store):
    """The agent that the package's sender talks to: any `WireHandler`."""
    numbers = itertools.count()
    conversations = Conversations(store, CLOCK, lambda: f"c-{next(numbers)}")
    return AgoraDoor(agent, listing=dict, conversations=conversations, clock=CLOCK)


# --- the package's sender against our receiver ---


def test_its_sender_asks_in_words_and_closes_each_conversation(agora_orders, serve, handler, agent, store):
    ran = agora_orders(do="ask", target=serve(handler), cities=["Rome", "Oslo"], thresholds=NEVER)
    assert ran["results"] == [{"value": 14}, {"value": 14}]
    assert ran["heard"] == ["It is 14 degrees.", "It is 14 degrees."]
    assert [(request.hashes, request.multiround) for request, _ in agent.asked] == [((), True), ((), True)]
    assert list(store.keys("conversation/")) == []


def test_its_sender_goes_on_in_one_conversation_over_new_connections(agora_orders, serve, handler, agent, store):
    ran = agora_orders(do="ask", target=serve(handler), cities=["Chatty"], thresholds=NEVER)
    assert ran["heard"] == ["It is 16 degrees.", "It is 14 degrees."]
    assert agent.asked[1][1] == (("user", "How warm is it in Chatty?"), ("assistant", "It is 16 degrees."))
    assert list(store.keys("conversation/")) == []


def test_its_sender_uses_a_document_by_its_data_uri(agora_orders, serve, handler, agent):
    ran = agora_orders(do="ask", target=serve(handler), cities=["Rome"], thresholds=NEVER, know=True)
    assert ran["results"] == [{"value": 14}]
    ((request, _),) = agent.asked
    assert request.hashes[0].startswith("sha1:")
    assert request.sources[0].startswith("data:text/plain;charset=utf-8,")


def test_its_sender_s_routine_needs_no_model(agora_orders, serve, handler):
    order = {"cities": ["Rome", "Paris"], "thresholds": NEVER, "know": True, "routine": True}
    ran = agora_orders(do="ask", target=serve(handler), **order)
    assert ran["results"] == [{"value": 14}, {"value": 15}]
    assert ran["calls"] == {}


def test_its_sender_negotiates_and_then_uses_what_was_agreed(agora_orders, serve, handler, agent, store):
    thresholds = {"protocol_threshold": 0, "negotiation_threshold": 0, "implementation_threshold": 1000}
    ran = agora_orders(do="ask", target=serve(handler), cities=["Rome"], thresholds=thresholds)
    assert ran["results"] == [{"value": 14}]
    assert ran["calls"] == {"negotiation": 2, "conversation": 1}
    assert ran["heard"][1] == "Fine with me, I am done."
    assert [request.kind for request, _ in agent.asked] == ["negotiation", "exchange"]
    assert list(store.keys("conversation/")) == []


def test_its_sender_hears_an_error_as_an_error_and_asks_on(agora_orders, serve, handler):
    ran = agora_orders(do="ask", target=serve(handler), cities=["Nowhere", "Rome"], thresholds=NEVER)
    assert ran["results"][0]["error"].startswith("ExecutionError")
    assert ran["results"][1] == {"value": 14}


def test_its_sender_reaches_its_routine_with_its_own_thresholds(agora_orders, serve, handler, agent):
    ran = agora_orders(do="ask", target=serve(handler), cities=["Rome"] * 20)
    assert ran["results"] == [{"value": 14}] * 20
    assert ran["calls"] == {"conversation": 15, "negotiation": 2, "programming": 1}
    assert [bool(request.hashes) for request, _ in agent.asked] == [False] * 11 + [True] * 10


# --- our sender against the package's receiver ---


@pytest.fixture
async def reach(store):
    transport = HTTPTransport()
    yield Reach(transport, store, CLOCK)
    await transport.aclose()


@pytest.fixture
def deadline():
    return Deadline.after(60, CLOCK)


async def test_its_receiver_is_recognised(reach, agora_receiver, deadline):
    record = await reach.discover(agora_receiver, deadline)
    assert (record.dialect, record.ours, record.listing) == ("agora-0.2.0", False, {})


async def test_its_receiver_answers_in_words(reach, agora_receiver, deadline):
    reply = await reach.exchange(agora_receiver, Request(body="How warm is it in Rome?"), deadline)
    assert reply == Reply(status="success", body="It is 14 degrees.")


async def test_its_receiver_takes_a_document_of_ours_by_a_data_uri_and_then_by_its_hash(
    reach, agora_receiver, deadline
):
    hashes, uri = DOCUMENT.aliases, as_data_uri(DOCUMENT)
    for sources in ((uri,), (uri,), ()):
        request = Request(body={"city": "Paris"}, hashes=hashes, sources=sources, idempotency_key="k")
        reply = await reach.exchange(agora_receiver, request, deadline)
        assert (reply.status, json.loads(reply.body)) == ("success", {"temperature": 15})


async def test_its_receiver_s_routine_answers_ours(reach, agora_receiver, deadline):
    request = Request(body='{"city": "Oslo"}', hashes=DOCUMENT.aliases, sources=(as_data_uri(DOCUMENT),))
    replies = [await reach.exchange(agora_receiver, request, deadline) for _ in range(8)]
    assert {reply.body for reply in replies} == {'{"temperature": 14}'}


async def test_its_receiver_rejects_a_document_that_it_judges_unsuitable(reach, agora_receiver, deadline):
    teleport = render_document(name="Teleport", description="Teleport people.", body="Send a place.", annex=None)
    request = Request(body="{}", hashes=teleport.aliases, sources=(as_data_uri(teleport),))
    reply = await reach.exchange(agora_receiver, request, deadline)
    assert (reply.status, reply.code) == ("rejected", "unsupported_protocol")


async def test_its_receiver_without_a_source_says_that_it_lacks_the_document(reach, agora_receiver, deadline):
    unknown = render_document(name="Unknown", description="x", body="y", annex=None)
    reply = await reach.exchange(agora_receiver, Request(body="{}", hashes=unknown.aliases), deadline)
    assert (reply.status, reply.code) == ("rejected", "document_not_found")


async def test_its_receiver_negotiates_in_rounds_until_closed(reach, agora_receiver, deadline):
    request = Request(kind="negotiation", body="I propose the document below.", multiround=True)
    opened = await reach.exchange(agora_receiver, request, deadline)
    assert (opened.status, opened.body) == ("success", "ACCEPT")
    again = Request(kind="negotiation", body="Really?", multiround=True, conversation=opened.conversation)
    assert (await reach.exchange(agora_receiver, again, deadline)).body == "Still fine with me, in turn 2."
    await reach.close(agora_receiver, opened.conversation, deadline)
    gone = await reach.exchange(agora_receiver, again, deadline)
    assert (gone.status, gone.code) == ("failure", "unknown_conversation")


async def test_its_receiver_s_rounds_in_words_go_on(reach, agora_receiver, deadline):
    opened = await reach.exchange(agora_receiver, Request(body="How warm is it in Rome?", multiround=True), deadline)
    again = Request(body="And what was my first question?", multiround=True, conversation=opened.conversation)
    assert (await reach.exchange(agora_receiver, again, deadline)).body == "This is turn 2."
    await reach.close(agora_receiver, opened.conversation, deadline)


async def test_its_receiver_s_error_is_a_failure_and_it_answers_on(reach, agora_receiver, deadline):
    reply = await reach.exchange(agora_receiver, Request(body="How warm is it in Nowhere?"), deadline)
    assert (reply.status, reply.error) == ("failure", "there is no such city")
    assert (await reach.exchange(agora_receiver, Request(body="How warm is it in Rome?"), deadline)).status == "success"


async def test_its_receiver_taken_for_a_standard_peer_is_found_out(agora_receiver, deadline, store, reach):
    await reach.discover(agora_receiver, deadline)
    (key,) = store.keys("peer/")
    store.put(key, store.get(key).replace("agora-0.2.0", "agora-2025"))
    transport = HTTPTransport()
    fresh = Reach(transport, store, CLOCK)
    for request in (
        Request(body="How warm is it in Rome?"),
        Request(body='{"city": "Rome"}', hashes=DOCUMENT.aliases, sources=(as_data_uri(DOCUMENT),)),
    ):
        assert (await fresh.exchange(agora_receiver, request, deadline)).status == "success"
    assert fresh.known(agora_receiver).dialect == "agora-0.2.0"
    await transport.aclose()
