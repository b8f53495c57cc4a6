"""Who may use what: the table by itself, and an agent that holds to it."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator import Agent, CostPolicy, Task
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.errors import NotAllowed, UsageError
from negotiator.identity import Identity
from negotiator.identity.authority import DEFAULT_RULES, EVERYBODY, Authority, Rule, is_free
from negotiator.identity.callers import current_principal
from negotiator.messages import Effect, Request, Tier
from negotiator.models.scripted import ScriptedModel
from negotiator.serving import ExchangeContext
from negotiator.testing import World
from negotiator.wire import ANONYMOUS
from protocol_docs import ProtocolDocument, catalog, draft_document

pytestmark = pytest.mark.anyio

DID = "did:wba:partner.example:agents:e1_x"
HOST = "host:alice"
EFFECTS: tuple[Effect, ...] = get_args(Effect)
TIERS: tuple[Tier, ...] = get_args(Tier)


# --- the table ---


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("principal", [ANONYMOUS, DID, HOST])
def test_by_default_strangers_reach_what_is_public_and_move_nothing_by_words(
    principal: str, public: bool, effect: Effect, tier: Tier
) -> None:
    allowed = Authority().allows(principal, "t", effect, tier, public=public)
    if principal != ANONYMOUS:
        assert allowed
    else:
        assert allowed == (public and not (effect == "transactional" and tier == "natural_language"))


def test_an_empty_table_allows_nothing() -> None:
    assert not any(
        Authority(()).allows(principal, "t", effect, tier, public=True)
        for principal in (ANONYMOUS, DID, HOST)
        for effect in EFFECTS
        for tier in TIERS
    )


_NAMES = st.sampled_from([ANONYMOUS, DID, HOST, "authenticated"])
_RULES = st.builds(
    Rule,
    who=_NAMES | st.just("did:wba:partner.example:*"),
    tools=st.sampled_from([("*",), ("book",), ("list_*",)]),
    effects=st.sampled_from([("safe",), ("transactional",), EFFECTS]),
    tiers=st.lists(st.sampled_from(TIERS), min_size=1, unique=True).map(tuple),
    public_only=st.booleans(),
    paid_model=st.booleans(),
)


@given(
    st.lists(_RULES, max_size=4), _RULES, st.sampled_from([ANONYMOUS, DID, HOST]), st.sampled_from(["book", "list_all"]),
    st.sampled_from(EFFECTS), st.sampled_from(TIERS), st.booleans(),
)  # fmt: skip
def test_a_line_more_never_allows_less_and_its_order_says_nothing(
    rules: list[Rule], more: Rule, principal: str, tool: str, effect: Effect, tier: Tier, public: bool
) -> None:
    before = Authority(tuple(rules)).allows(principal, tool, effect, tier, public=public)
    after = Authority((*rules, more)).allows(principal, tool, effect, tier, public=public)
    assert after >= before
    assert after == Authority((more, *reversed(rules))).allows(principal, tool, effect, tier, public=public)
    assert before == any(Authority((rule,)).allows(principal, tool, effect, tier, public=public) for rule in rules)


@given(_RULES, st.sampled_from(["book", "list_all"]), st.sampled_from(EFFECTS), st.sampled_from(TIERS), st.booleans())
def test_what_others_are_allowed_says_nothing_of_the_anonymous(
    rule: Rule, tool: str, effect: Effect, tier: Tier, public: bool
) -> None:
    if rule.who != ANONYMOUS:
        assert not Authority((rule,)).allows(ANONYMOUS, tool, effect, tier, public=public)


def test_a_pattern_of_everything_does_not_mean_whoever_proves_nothing() -> None:
    assert not Authority((Rule(who="*"),)).allows(ANONYMOUS, "t", "safe", "routine", public=True)


@pytest.mark.parametrize(
    "words", [{"effects": "harmless"}, {"tiers": "fast"}, {"effects": ()}, {"tiers": ("routine", "x")}]
)
def test_a_word_that_is_no_effect_or_tier_is_refused(words: Any) -> None:
    with pytest.raises(UsageError, match="not among"):
        Authority().allowing("anonymous", **words)


def test_a_widening_shows_as_the_line_it_is() -> None:
    wider = Authority().allowing("anonymous", tools="book", effects="transactional", tiers="routine")
    assert [str(rule) for rule in wider.widened] == ["anonymous: book (transactional; routine)"]
    assert wider.rules[: len(DEFAULT_RULES)] == DEFAULT_RULES
    assert Authority().widened == ()


@pytest.mark.parametrize(
    ("model", "free"),
    [
        ("none", True),
        ("local/qwen", True),
        ("scripted", True),
        ("recorded/x", True),
        ("openai/gpt-5", False),
        ("mine", False),
    ],
)
def test_a_model_that_nobody_knows_to_be_free_is_taken_to_cost_money(model: str, free: bool) -> None:
    assert is_free(model) is free
    assert Authority().may_learn(ANONYMOUS, model) is free
    assert Authority().may_learn(DID, model)


# --- an agent that holds to it ---


def offer(agent: Agent, effect: Effect, public: bool | None = None) -> list[str]:
    """A tool that says for whom it was called."""
    calls: list[str] = []

    @agent.tool(effect=effect, public=public)
    def book(room: str) -> str:
        """Book a room for a guest."""
        calls.append(current_principal())
        return f"{room} is booked"

    return calls


def asked(agent: Agent, tier: Tier) -> Request:
    """A request that comes to `book` in a tier."""
    if tier == "routine":
        return Request(body={"task": "book", "input": {"room": "12"}}, hashes=catalog.direct_json().aliases)
    if tier == "natural_language":
        return Request(body="Book room 12 for me, please.")
    text = (
        "---\nname: booking\ndescription: Book a room\nmultiround: false\n---\nSay the room, and hear what came of it."
    )
    return Request(body="room 12", hashes=(_hash(agent, text),))


def _hash(agent: Agent, text: str) -> str:
    document = ProtocolDocument.from_text(text)
    agent.engine.documents.put(document)
    return document.hash


def a_model() -> ScriptedModel:
    return ScriptedModel(
        {
            "choose_tool": {"tool": "book"},
            "read_request": {"answer": {"room": "12"}},
            "write_reply": {"answer": "booked"},
        }
    )


async def _outcome(world: World, principal: str, effect: Effect, tier: Tier, **options: Any) -> tuple[str, list[str]]:
    public = options.pop("public", None)
    agent = world.agent("server", a_model(), **{"authority": Authority()} | options)
    calls = offer(agent, effect, public)
    context = ExchangeContext(dialect="test", deadline=Deadline.after(60, world.clock), principal=principal)
    try:
        reply = await answer(agent.engine, asked(agent, tier), context)
    except Exception as error:  # noqa: BLE001 - what it is, is what is asked
        return type(error).__name__, calls
    return reply.status, calls


@pytest.mark.parametrize("tier", ["natural_language", "routine"])
@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("principal", [ANONYMOUS, DID, HOST])
async def test_an_agent_runs_what_the_table_allows_for_whom_it_says(
    world: World, principal: str, effect: Effect, tier: Tier
) -> None:
    status, calls = await _outcome(world, principal, effect, tier)
    if Authority().allows(principal, "book", effect, tier, public=effect == "safe"):
        assert (status, calls) == ("success", [principal])
    else:
        assert (status, calls) == ("NotAllowed", [])


@pytest.mark.parametrize("effect", EFFECTS)
async def test_under_a_document_without_schemas_it_holds_as_well(world: World, effect: Effect) -> None:
    status, calls = await _outcome(world, ANONYMOUS, effect, "structured")
    # No tool is left that the document could mean.
    assert (status, bool(calls)) == (("success", True) if effect == "safe" else ("rejected", False))


@pytest.mark.parametrize(("tier", "ran"), [("natural_language", False), ("routine", True)])
async def test_a_public_transaction_is_reached_by_documents_and_not_by_words(
    world: World, tier: Tier, ran: bool
) -> None:
    _, calls = await _outcome(world, ANONYMOUS, "transactional", tier, public=True)
    assert bool(calls) is ran


WISH = draft_document(
    name="wish", description="Wish for a room", effect="transactional",
    request_schema={"type": "object", "properties": {"wish": {"type": "string"}}, "required": ["wish"]},
    reply_schema={"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("principal", "wish", "pair", "outcome"),
    [
        # The host carries what stands there whole; what a model picks out of a text is held to the line for words.
        (ANONYMOUS, "12", "wish", "success"),
        (ANONYMOUS, "number 12, please", "none", "NotAllowed"),
        (DID, "number 12, please", "none", "success"),
    ],
)
async def test_what_a_model_wrote_for_a_field_moves_only_what_words_may(
    world: World, principal: str, wish: str, pair: str, outcome: str
) -> None:
    model = ScriptedModel(
        {
            "pair_fields": lambda _messages, schema: {
                name: next(one for one in part["enum"] if one.endswith(pair))
                if name.endswith("room")
                else part["enum"][0]
                for name, part in schema["properties"].items()
            },
            "decode_request": {"answer": {"room": "12"}},
            "encode_reply": {"answer": {"said": "booked"}},
        }
    )
    agent = world.agent("server", model, authority=Authority())
    calls = offer(agent, "transactional", public=True)
    agent.engine.documents.put(WISH)
    agent.engine.meant[WISH.hash] = "book"
    context = ExchangeContext(dialect="test", deadline=Deadline.after(60, world.clock), principal=principal)
    try:
        said = (await answer(agent.engine, Request(body={"wish": wish}, hashes=(WISH.hash,)), context)).status
    except NotAllowed:
        said = "NotAllowed"
    assert (said, calls) == (outcome, [principal] if outcome == "success" else [])
    assert ("decode_request" in {call.purpose for call in model.calls}) is (pair == "none")


async def test_a_safe_tool_that_is_not_public_is_kept_from_strangers(world: World) -> None:
    assert await _outcome(world, ANONYMOUS, "safe", "routine", public=False) == ("NotAllowed", [])


async def test_one_line_lets_a_partner_do_what_strangers_may_not(world: World) -> None:
    only = Authority(()).allowing("did:wba:partner.example:*", tools="book")
    assert (await _outcome(world, DID, "transactional", "routine", authority=only))[1] == [DID]


async def test_one_line_for_a_partner_is_none_for_another(world: World) -> None:
    only = Authority(()).allowing("did:wba:partner.example:*", tools="book")
    other = "did:wba:other.example"
    assert await _outcome(world, other, "transactional", "routine", authority=only) == ("NotAllowed", [])


@pytest.mark.parametrize(
    ("principal", "public", "runs"), [(ANONYMOUS, None, False), (ANONYMOUS, True, True), (DID, None, True)]
)
async def test_a_function_under_its_own_document_is_held_to_the_table(
    world: World, principal: str, public: bool | None, runs: bool
) -> None:
    text = "---\nname: echo\ndescription: Say it again\nmultiround: false\n---\nSay something."
    agent = world.agent("server", authority=Authority())
    calls: list[str] = []
    named = agent.register(text, lambda body: calls.append(current_principal()) or body, public=public)
    context = ExchangeContext(dialect="test", deadline=Deadline.after(60, world.clock), principal=principal)
    if runs:
        await answer(agent.engine, Request(body="x", hashes=(named,)), context)
    else:
        with pytest.raises(NotAllowed):
            await answer(agent.engine, Request(body="x", hashes=(named,)), context)
    assert calls == ([principal] if runs else [])


class _Paid(ScriptedModel):
    @property
    def name(self) -> str:
        return "openai/dear"


@pytest.mark.parametrize(("principal", "asked_model"), [(ANONYMOUS, False), (DID, True)])
async def test_a_stranger_has_nothing_negotiated_on_a_model_that_costs_money(
    world: World, principal: str, asked_model: bool
) -> None:
    model = _Paid({"choose_tool": {"tool": "book"}})
    agent = world.agent("server", model, authority=Authority(), cost_policy=CostPolicy())
    offer(agent, "safe")
    opening = {
        "type": "opening",
        "id": "n-1",
        "intent": {"name": "sleep", "description": "A bed for somebody who is tired", "effect": "safe"},
    }
    context = ExchangeContext(dialect="test", deadline=Deadline.after(60, world.clock), principal=principal)
    await answer(agent.engine, Request(body=opening, hashes=catalog.negotiation_dialogue().aliases), context)
    assert bool(model.calls) is asked_model


@pytest.mark.parametrize(("principal", "word"), [(DID, "is used for"), (ANONYMOUS, "is not allowed for")])
async def test_for_whom_a_tool_was_used_is_in_the_log_and_no_value_is(
    world: World, principal: str, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await _outcome(world, principal, "transactional", "routine")
    assert f"book (transactional) {word} {principal!r}, in the tier routine" in caplog.text
    assert all("12" not in record.getMessage() for record in caplog.records)


# --- from end to end ---


async def test_a_tool_sees_the_did_of_the_agent_that_asked(world: World) -> None:
    here, there = (f"https://{name}.example" for name in ("server", "caller"))
    server = world.agent(
        "server", address=here, identity=Identity.in_memory(here, clock=world.clock), authority=Authority()
    )
    caller = world.agent("caller", address=there, identity=Identity.in_memory(there, clock=world.clock))
    stranger = world.agent("stranger")
    calls = offer(server, "transactional")
    task = Task("Book a room for a guest", input={"type": "object", "properties": {"room": {"type": "string"}},
        "required": ["room"], "additionalProperties": False}, output={"type": "string"}, name="book")  # fmt: skip
    outcome = await caller.ask(here, task, {"room": "12"})
    assert outcome.output == "12 is booked"
    assert caller.identity is not None
    assert calls == [caller.identity.did]
    with pytest.raises(Exception, match="may not"):
        await stranger.ask(here, task, {"room": "12"})
    assert len(calls) == 1


def test_everybody_may_everything_among_agents_of_one_owner() -> None:
    assert EVERYBODY.allows(ANONYMOUS, "t", "transactional", "natural_language", public=False)
    assert EVERYBODY.allows(DID, "t", "transactional", "natural_language", public=False)
    assert replace(EVERYBODY, rules=()).widened == ()
