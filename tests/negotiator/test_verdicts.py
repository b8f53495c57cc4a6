"""What a candidate has been shown to do, class of values by class, and what follows for the requests that it gets."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator import Agent, CostPolicy, Outcome, Task, comparison, shadow
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.errors import BadInput, NotPossible, RoutineFailed
from negotiator.evidence import Copying, Exchange, kept
from negotiator.fitting import Half, receiver_half, sender_half
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import FieldMapping, Mapping
from negotiator.messages import Reply, Request
from negotiator.models.base import Message
from negotiator.models.none import NoModel
from negotiator.models.scripted import ScriptedModel
from negotiator.proposals import document_of
from negotiator.routines import Direction, Routine
from negotiator.running import Runnable
from negotiator.schemas import Schema
from negotiator.serving import ExchangeContext
from negotiator.synthesis import put_candidate
from negotiator.testing import World
from negotiator.verdicts import nothing_shown, shown_by, unverified
from protocol_docs import ProtocolDocument, draft_document
from sandbox import HandlerFailed
from tests.negotiator.engine_world import TEXT, obj

pytestmark = pytest.mark.anyio

SERVER = "mem://server"
SEAT = {"enum": ["aisle", "window"]}
MEANS = {"place": "city", "chair": "seat", "remark": "note", "hits": "results", "hint": "advice"}
"""The client's words, and the server's for the same."""


def optional(schema: JsonObject, **properties: JsonValue) -> JsonObject:
    return {**schema, "properties": {**schema["properties"], **properties}}


TAKES = optional(obj(city=TEXT), seat=SEAT, note=TEXT)
GIVES = obj(results={"type": "array", "items": optional(obj(price=TEXT), advice=TEXT)})
CLIENT_TAKES = optional(obj(place=TEXT), chair=SEAT, remark=TEXT)
CLIENT_GIVES = obj(hits={"type": "array", "items": optional(obj(price=TEXT), hint=TEXT)})
TASK = Task("Find a place on a train", input=CLIENT_TAKES, output=CLIENT_GIVES, effect="safe", natural_language=False)
RICH = {"place": "Rome", "chair": "aisle", "remark": "quiet"}
POOR = {"place": "Oslo"}


def field(to: str, source: str, **parts: Any) -> FieldMapping:
    return FieldMapping(to=f"/{to}", source=f"/{source}", **parts)


INTO = (field("city", "place", required=True), field("seat", "chair"), field("note", "remark"))
ROW = (field("price", "price", required=True), field("hint", "advice"))


def rows(*fields: FieldMapping) -> Mapping:
    return Mapping((field("hits", "results", required=True, each=Mapping(fields)),))


RIGHT = (Direction(mapping=Mapping(INTO)), Direction(mapping=rows(*ROW)))
CODE = """
def encode(source):
    made = {"city": source["place"]}
    if "chair" in source:
        made["seat"] = source["chair"]
    if "remark" in source:
        made["note"] = source["remark"]
    return made

def decode(source):
    return {"hits": [row_of(row) for row in source["results"]]}

def row_of(row):
    made = {"price": row["price"]}
    if "advice" in row:
        made["hint"] = row["advice"]
    return made
"""
WRITTEN = (Direction(entry="encode"), Direction(entry="decode"))


def gold(_messages: Sequence[Message], schema: JsonObject) -> JsonObject:
    """Which field is which, as it is."""
    theirs = {server: client for client, server in MEANS.items()}

    def chosen(name: str, options: list[str]) -> str:
        return next((each for each in (MEANS.get(name), theirs.get(name), name) if each in options), "none")

    return {name: chosen(name, part["enum"]) for name, part in schema["properties"].items()}


def model() -> ScriptedModel:
    return ScriptedModel({"pair_fields": gold, "choose_tool": {"tool": "find"}})


def offer(server: Agent) -> list[JsonObject]:
    calls: list[JsonObject] = []

    @server.tool(effect="safe", inline=True, input=TAKES, output=GIVES, description="Find a place on a train")
    def find(**given: str) -> JsonObject:
        calls.append(given)
        if given["city"] == "Nowhere":
            return {"results": []}
        hint = {"advice": "be early"} if "note" in given else {}
        return {"results": [{"price": f"{len(given)} to {given['city']}", **hint}]}

    return calls


def expected(value: JsonObject) -> JsonObject:
    hint = {"hint": "be early"} if "remark" in value else {}
    return {"hits": [{"price": f"{len(value)} to {value['place']}", **hint}]}


class Trial:
    """A client with a candidate for the server's document."""

    def __init__(self, world: World, directions: tuple[Direction, Direction], source: str = "", **policy: Any) -> None:
        self.world = world
        self.server = world.agent("server")
        self.calls = offer(self.server)
        self.model = model()
        self.client = world.agent("client", self.model, cost_policy=CostPolicy(**policy))
        self.document = document_of(self.server.engine.tools["find"])
        self.half = sender_half(self.client.engine, TASK, self.document)
        self.client.engine.documents.put(self.document)
        self.client.engine.agreements.agree(TASK.digest, SERVER, self.document.hash, 86_400.0)
        self.put(directions, source)

    def put(self, directions: tuple[Direction, Direction], source: str = "") -> None:
        put_candidate(self.client.engine, self.half, candidate(self.half, directions, source), examples=0)

    async def ask(self, value: JsonObject, key: str | None = None) -> Outcome:
        outcome = await self.client.ask(SERVER, TASK, value, idempotency_key=key)
        await self.client.settle()
        assert outcome.json == expected(value)
        return outcome

    @property
    def routine(self) -> Routine:
        (routine,) = self.client.routines()
        return routine


def candidate(half: Half, directions: tuple[Direction, Direction], source: str = "") -> Routine:
    return Routine(
        protocol_hash=half.document.hash,
        role=half.role,
        kind="code" if source else "mapping",
        key_digest=half.key_digest,
        into=directions[0],
        back=directions[1],
        source=source,
        tool=half.tool,
    )


# --- what is shown ---


@pytest.mark.parametrize(("directions", "source"), [(RIGHT, ""), (WRITTEN, CODE)])
async def test_one_exchange_shows_by_its_rule_that_all_classes_are_right(
    world: World, directions: tuple[Direction, Direction], source: str
) -> None:
    trial = Trial(world, directions, source)
    assert len(trial.routine.verdict.unverified) > 10
    await trial.ask(POOR)
    assert trial.routine.state == "candidate"
    assert trial.routine.verdict.unverified == ()
    assert trial.routine.verdict.examples > 0
    for _ in range(2):
        await trial.ask(POOR)
    asked = len(trial.model.calls)
    assert (await trial.ask(RICH)).tier == "routine"
    assert len(trial.model.calls) == asked


SWAPPED = (INTO[0], field("seat", "chair"), field("note", "place"))
DEFAULTED = (INTO[0], INTO[1], field("note", "remark", has_default=True, default="none"))
EXCHANGED = (INTO[0], field("seat", "chair", table=(("aisle", "aisle"), ("window", "aisle"))), INTO[2])


@pytest.mark.parametrize(
    ("into", "shown", "hidden"),
    [
        (DEFAULTED, RICH, POOR),
        (EXCHANGED, RICH, {"place": "Rome", "chair": "window"}),
    ],
)
async def test_a_class_of_values_that_a_routine_is_wrong_on_is_left_to_the_structured_tier(
    world: World, into: tuple[FieldMapping, ...], shown: JsonObject, hidden: JsonObject
) -> None:
    trial = Trial(world, (Direction(mapping=Mapping(into)), RIGHT[1]))
    for _ in range(3):
        await trial.ask(shown)
    assert trial.routine.serving
    assert (await trial.ask(shown)).tier == "routine"
    outcome = await trial.ask(hidden)
    assert outcome.tier == "structured"
    assert "not been shown" in outcome.reason
    assert trial.routine.verdict.misses == 1, "it was compared, and was wrong"
    for _ in range(2):
        await trial.ask(hidden)
    assert trial.routine.state == "demoted"


async def test_a_routine_that_leaves_out_what_exchanges_copy_is_completed_and_then_serves_them_too(
    world: World,
) -> None:
    trial = Trial(world, (Direction(mapping=Mapping(INTO[:2])), RIGHT[1]))
    for _ in range(3):
        await trial.ask(POOR)
    assert trial.routine.serving
    outcome = await trial.ask(RICH)
    assert outcome.tier == "structured"
    assert "not been shown" in outcome.reason
    assert trial.routine.state == "candidate", "what is new in it has been shown by nothing yet"
    assert trial.routine.verdict.misses == 0
    assert (await trial.ask(RICH)).tier == "structured"
    assert trial.routine.into.mapping == RIGHT[0].mapping
    assert (await trial.ask(RICH)).tier == "routine"
    assert trial.calls[-1] == {"city": "Rome", "seat": "aisle", "note": "quiet"}


PAIR = Task(
    "Compare two seats", input=obj(mine=SEAT, yours=SEAT), output=obj(note=TEXT), effect="safe", natural_language=False
)  # fmt: skip
STRAIGHT = (field("first", "mine"), field("second", "yours"))


@pytest.mark.parametrize(
    "wrong",
    [
        (field("first", "yours"), field("second", "mine")),
        (field("first", "mine"), FieldMapping(to="/second", const="aisle")),
    ],
)
async def test_what_agrees_by_chance_on_the_exchanges_is_refuted_by_the_rule_on_examples(
    world: World, wrong: tuple[FieldMapping, ...]
) -> None:
    server = world.agent("server")
    request = obj(first=SEAT, second=SEAT)
    document = draft_document(
        name="p", description="P", request_schema=request, reply_schema=obj(note=TEXT), effect="safe"
    )
    half = sender_half(server.engine, PAIR, document)
    back = Mapping((field("note", "note"),))
    both = {"mine": "aisle", "yours": "aisle"}
    exchange = Exchange(
        given=both,
        passed={"first": "aisle", "second": "aisle"},
        returned={"note": "same"},
        made={"note": "same"},
        into=Copying(mapping=Mapping(STRAIGHT), whole=True),
        back=Copying(mapping=back, whole=True),
    )
    for into, right in ((STRAIGHT, True), (wrong, False)):
        made = candidate(half, (Direction(mapping=Mapping(into)), Direction(mapping=back)))
        put_candidate(server.engine, half, made, examples=0)
        for _ in range(3):
            await shadow.observe(server.engine, half, exchange)
        (routine,) = server.routines()
        assert routine.serving
        assert unverified(routine, half, "into", {"mine": "aisle", "yours": "window"}) is not right


async def test_a_row_that_a_routine_has_not_been_shown_is_read_by_the_next_tier_from_the_reply_in_hand(
    world: World,
) -> None:
    trial = Trial(world, (RIGHT[0], Direction(mapping=rows(ROW[0]))))
    for _ in range(3):
        await trial.ask(POOR)
    sent = len(trial.calls)
    assert (await trial.ask(RICH)).tier == "structured"
    assert len(trial.calls) == sent + 1


async def test_what_was_shown_later_is_served_later(world: World) -> None:
    trial = Trial(world, RIGHT)
    for _ in range(3):
        await trial.ask(POOR)
    hard = (("into", "/seat", "absent"), ("into", "/chair", '= "window"'))
    trial.client.engine.routines.put(
        replace(trial.routine, verdict=replace(trial.routine.verdict, unverified=hard))  # type: ignore[arg-type]
    )
    window = {"place": "Rome", "chair": "window"}
    assert [(await trial.ask(window)).tier for _ in range(2)] == ["structured", "routine"]


async def test_without_a_model_what_was_not_shown_ends_in_a_typed_error(world: World) -> None:
    trial = Trial(world, (Direction(mapping=Mapping(INTO[:2])), Direction(mapping=rows(ROW[0]))))
    for _ in range(3):
        await trial.ask(POOR)
    trial.client.engine.model = NoModel()
    with pytest.raises(NotPossible, match="not been shown"):
        await trial.ask(RICH)
    trial.client.engine.routines.put(replace(trial.routine, into=RIGHT[0], verdict=replace(
        trial.routine.verdict, unverified=tuple(each for each in trial.routine.verdict.unverified if each[0] == "back")
    )))  # fmt: skip
    with pytest.raises(RoutineFailed):
        await trial.ask(RICH)


async def test_what_is_filled_by_value_is_shown_by_exchanges_alone(world: World) -> None:
    trial = Trial(world, RIGHT)
    engine = trial.client.engine
    runnable = engine.routines.get(*trial.half.place)
    assert runnable is not None
    into = Copying(mapping=Mapping(INTO[:1]), whole=False)
    exchange = Exchange(given=POOR, passed={"city": "Oslo"}, returned={"results": []}, made={"hits": []}, into=into)
    shown = await shown_by(trial.half, runnable, exchange)
    assert ("into", "/place", "text") in shown.classes
    assert ("into", "/chair", "absent") in shown.classes, "the exchange itself had none"
    assert ("into", "/chair", "text") not in shown.classes
    assert ("into", "/remark", "text") not in shown.classes
    assert ("back", "/results", "filled") not in shown.classes


async def test_documents_own_examples_are_reproduced_where_the_rule_can_be_turned_round(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(world, RIGHT)
    annex = trial.document.annex
    assert annex is not None
    requests = [example.request for example in annex.examples]
    made: list[JsonValue] = []

    runnable = trial.client.engine.routines.get(*trial.half.place)
    assert runnable is not None
    real = runnable.into

    async def noting(value: JsonValue) -> JsonValue:
        made.append(await real(value))
        return made[-1]

    monkeypatch.setattr(runnable, "into", noting)
    exchange = Exchange(
        given=POOR, passed={"city": "Oslo"}, returned={}, made={}, into=Copying(mapping=Mapping(INTO), whole=True)
    )
    await shown_by(trial.half, runnable, exchange)
    assert all(request in made for request in requests)


async def test_a_receiver_under_prose_begins_with_no_classes_and_a_sender_with_those_of_its_input(world: World) -> None:
    server = world.agent("server")
    offer(server)
    prose = ProtocolDocument.from_text("Send what you look for.\n")
    assert nothing_shown(receiver_half(server.engine, prose, server.engine.tools["find"])) == ()
    half = sender_half(server.engine, TASK, prose)
    assert {way for way, _, _ in nothing_shown(half)} == {"into"}
    fresh = put_candidate(server.engine, half, candidate(half, WRITTEN, CODE), examples=0)
    assert fresh.routine.verdict.basis == "shadow_only"
    assert unverified(fresh.routine, half, "into", RICH)


# --- the guard of a function ---


@pytest.mark.parametrize(
    "wrong",
    [
        (
            'made["seat"] = source["chair"]',
            'made["seat"] = "aisle" if source["place"] == "Fresno" else source["chair"]',
        ),
        ('{"city": source["place"]}', '{"city": {"Fresno": "Reno"}.get(source["place"], source["place"])}'),
        ('for row in source["results"]]', 'for row in source["results"] if "Fresno" not in row["price"]]'),
        ('"price": row["price"]', '"price": row["price"][:20]'),
    ],
)
async def test_a_function_that_is_wrong_on_a_value_that_nobody_tried_is_stopped_by_what_is_copied(
    world: World, wrong: tuple[str, str]
) -> None:
    assert wrong[0] in CODE
    trial = Trial(world, WRITTEN, CODE.replace(*wrong))
    for _ in range(3):
        await trial.ask(RICH)
    assert (await trial.ask({"place": "Oslo", "chair": "window"})).tier == "routine"
    sent = len(trial.calls)
    rare = {"place": "Fresno", "chair": "window"} if "Fresno" in wrong[1] else {"place": "Llanfairpwllgwyngyll"}
    assert (await trial.ask(rare)).tier == "structured"
    assert len(trial.calls) == sent + 1
    assert trial.routine.state == "demoted"
    assert (await trial.ask(rare)).tier == "structured", "it is not offered again"


async def test_a_guard_survives_the_cache(world: World) -> None:
    trial = Trial(world, WRITTEN, CODE)
    await trial.ask(RICH)
    (direction,) = {trial.routine.into}
    assert direction.guard is not None
    assert {each.to for each in direction.guard.fields} == {"/city", "/seat", "/note"}
    assert Routine.from_json(trial.routine.to_json()) == trial.routine


# --- private examples ---


async def test_a_routine_that_is_made_again_is_held_against_the_exchanges_that_are_kept(world: World) -> None:
    trial = Trial(world, RIGHT)
    for value in (POOR, RICH, {"place": "Rome"}):
        await trial.ask(value)
    assert len(kept(trial.client.engine.text, trial.half.place)) == 3
    asked = len(trial.model.calls)
    trial.client.engine.routines.demote(trial.routine, "tried")
    trial.put(RIGHT)
    await shadow.recall(trial.client.engine, trial.half)
    assert trial.routine.serving
    trial.put((Direction(mapping=Mapping(SWAPPED)), RIGHT[1]))
    await shadow.recall(trial.client.engine, trial.half)
    assert trial.routine.state == "demoted"
    assert len(trial.model.calls) == asked


async def test_requests_that_come_at_once_enter_what_is_kept_once(world: World) -> None:
    trial = Trial(world, WRITTEN, CODE)
    for value in (POOR, RICH):
        await trial.ask(value)
    trial.put(WRITTEN, CODE)
    await asyncio.gather(*(shadow.recall(trial.client.engine, trial.half) for _ in range(5)))
    assert (trial.routine.state, trial.routine.verdict.shadows) == ("candidate", 2)


async def test_code_compiled_under_a_newer_policy_is_verified_again_without_a_model_call(world: World) -> None:
    trial = Trial(world, WRITTEN, CODE)
    for value in (POOR, RICH, {"place": "Rome"}):
        await trial.ask(value)
    older = replace(trial.routine, verdict=replace(trial.routine.verdict, sandbox_policy="0"))
    trial.client.engine.routines.put(older)
    trial.client.engine.routines._ready.clear()
    asked = len(trial.model.calls)
    assert (await trial.ask(RICH)).tier == "routine"
    assert len(trial.model.calls) == asked


async def test_exchanges_are_kept_over_a_restart_and_not_where_nobody_wants_them(world: World, tmp_path: Any) -> None:
    for policy, count in ((CostPolicy(), 1), (CostPolicy(private_examples=0), 0)):
        server = world.agent(f"server{count}")
        offer(server)
        document = document_of(server.engine.tools["find"])
        for run in range(2):
            client = world.agent(f"c{count}{run}", model(), state=str(tmp_path / str(count)), cost_policy=policy)
            half = sender_half(client.engine, TASK, document)
            client.engine.documents.put(document)
            client.engine.agreements.agree(TASK.digest, f"mem://server{count}", document.hash, 86_400.0)
            put_candidate(client.engine, half, candidate(half, RIGHT), examples=0)
            await client.ask(f"mem://server{count}", TASK, POOR)
            await client.settle()
            assert len(kept(client.engine.text, half.place)) == count


# --- the canary share ---


async def test_a_new_routine_serves_its_share_and_is_compared_on_the_rest_before_it_serves_all(world: World) -> None:
    trial = Trial(world, RIGHT, canary_share=0.5, canary_exchanges=4)
    for _ in range(3):
        await trial.ask(POOR)
    tiers: list[str] = []
    while trial.routine.verdict.canary:
        tiers.append((await trial.ask(POOR, key=f"request-{len(tiers)}")).tier)
    assert tiers.count("structured") == 4
    assert tiers.count("routine") > 0
    again = [(await trial.ask(POOR, key=f"request-{number}")).tier for number in range(len(tiers))]
    assert set(again) == {"routine"}


async def test_one_disagreement_ends_a_canary(world: World) -> None:
    trial = Trial(world, WRITTEN, CODE, canary_share=0.0, canary_exchanges=4)
    for _ in range(3):
        await trial.ask(POOR)
    assert trial.routine.verdict.canary == 4
    wrong = CODE.replace('source["remark"]', '"loud"')
    trial.client.engine.routines.put(replace(trial.routine, source=wrong, into=WRITTEN[0]))
    assert (await trial.ask(RICH)).tier == "structured"
    assert trial.routine.state == "demoted"


async def test_the_same_request_is_in_a_share_each_time(world: World) -> None:
    trial = Trial(world, RIGHT)
    routine = replace(trial.routine, state="serving", verdict=replace(trial.routine.verdict, passed=True, canary=1))
    names = [f"request {number}" for number in range(2000)]
    taken = [name for name in names if routine.takes(name, 0.25)]
    assert 400 < len(taken) < 600
    assert [name for name in names if routine.takes(name, 0.25)] == taken
    assert set(taken) < {name for name in names if routine.takes(name, 0.5)}
    assert not any(routine.takes(name, 0.0) for name in names)
    assert all(routine.takes(name, 1.0) for name in names)


# --- the receiver's half ---

STRANGE = draft_document(
    name="find", description="Find a place on a train", request_schema=CLIENT_TAKES, reply_schema=CLIENT_GIVES,
    effect="safe",
)  # fmt: skip


class Receiving:
    """A server with a candidate for a document in another vocabulary."""

    def __init__(self, world: World, directions: tuple[Direction, Direction], source: str = "", **policy: Any) -> None:
        self.model = model()
        self.server = world.agent("server", self.model, cost_policy=CostPolicy(**policy))
        self.calls = offer(self.server)
        engine = self.server.engine
        engine.documents.put(STRANGE)
        self.half = receiver_half(engine, STRANGE, engine.tools["find"])
        put_candidate(engine, self.half, candidate(self.half, directions, source), examples=0)

    async def get(self, value: JsonObject, key: str | None = None) -> Reply:
        engine = self.server.engine
        context = ExchangeContext(dialect="agora-2025", deadline=Deadline.after(60, engine.clock))
        reply = await answer(engine, Request(body=value, hashes=STRANGE.aliases, idempotency_key=key), context)
        await self.server.settle()
        assert reply.body == expected(value)
        return reply

    @property
    def routine(self) -> Routine:
        (routine,) = self.server.routines()
        return routine


RECEIVER_CODE = CODE.replace("def encode", "def arguments").replace("def decode", "def reply")
RECEIVER_WRITTEN = (Direction(entry="arguments"), Direction(entry="reply"))


async def test_a_receivers_routine_is_shown_guarded_and_left_as_a_senders_is(world: World) -> None:
    wrong = RECEIVER_CODE.replace('"price": row["price"]', '"price": row["price"][:20]')
    trial = Receiving(world, RECEIVER_WRITTEN, wrong)
    tiers = [(await trial.get(RICH)).tier for _ in range(4)]
    assert tiers == ["structured", "structured", "structured", "routine"]
    called = len(trial.calls)
    assert (await trial.get({"place": "Llanfairpwllgwyngyll"})).tier == "structured"
    assert len(trial.calls) == called + 1, "the tool is not called again"
    assert trial.routine.state == "demoted"


async def test_a_receiver_leaves_requests_and_results_that_it_was_not_shown_to_the_next_tier(world: World) -> None:
    trial = Receiving(world, (Direction(mapping=Mapping(INTO[:2])), Direction(mapping=rows(ROW[0]))))
    for _ in range(3):
        await trial.get(POOR)
    assert (await trial.get(POOR)).tier == "routine"
    assert (await trial.get(RICH)).tier == "structured"
    engine = trial.server.engine
    engine.routines.put(replace(trial.routine, into=RIGHT[0], verdict=replace(
        trial.routine.verdict, unverified=tuple(each for each in trial.routine.verdict.unverified if each[0] == "back")
    )))  # fmt: skip
    called = len(trial.calls)
    assert (await trial.get(RICH)).tier == "structured"
    assert len(trial.calls) == called + 1, "the reply is written of the result that was got"


async def test_a_receivers_canary_takes_the_same_requests_each_time(world: World) -> None:
    trial = Receiving(world, RIGHT, canary_share=0.5, canary_exchanges=1000)
    for number in range(3):
        await trial.get(POOR, key=f"first-{number}")
    keys = [f"request {number}" for number in range(12)]
    tiers = [(await trial.get({"place": key})).tier for key in keys]
    assert {"structured", "routine"} == set(tiers)
    assert [(await trial.get({"place": key})).tier for key in keys] == tiers


# --- repair ---


async def test_the_line_of_what_failed_goes_back_to_the_model_once() -> None:
    from negotiator.code_writing import went_wrong

    said = went_wrong(HandlerFailed("ValueError: no", 3), {"a": 1})
    assert "line 3: ValueError: no" in said
    assert "{'a': 1}" in said


# --- whatever is wrong with a mapping ---

THREE = {"enum": ["x", "y", "z"]}
NAMES = ("f", "g", "h", "t")
WIRE = {**obj(f=THREE, g=THREE, h=THREE, t=TEXT), "required": ["f", "t"]}
TRUTH = tuple(field(name, name, required=name in WIRE["required"]) for name in NAMES)


WIRE_DOCUMENT = draft_document(
    name="w", description="W", request_schema=WIRE, reply_schema=obj(note=TEXT), effect="safe"
)
WHOLE = Half(
    role="sender",
    document=WIRE_DOCUMENT,
    key_digest="d",
    description="",
    given=Schema.of(WIRE),
    passed=Schema.of(WIRE),
    returned=Schema.of(obj(note=TEXT)),
    made=Schema.of(obj(note=TEXT)),
)


@st.composite
def any_mappings(draw: st.DrawFn) -> Mapping:
    """Each field of another, of a constant, by a table, with a default, or not at all."""
    fields = []
    for name in NAMES:
        match draw(st.sampled_from(["right", "right", "other", "const", "table", "default", "none"])):
            case "right":
                fields.append(field(name, name))
            case "other":
                fields.append(field(name, draw(st.sampled_from(NAMES))))
            case "const":
                fields.append(FieldMapping(to=f"/{name}", const=draw(st.sampled_from("xyz"))))
            case "table":
                turned = draw(st.permutations("xyz"))
                fields.append(field(name, name, table=tuple(zip("xyz", turned, strict=True))))
            case "default":
                fields.append(field(name, name, has_default=True, default=draw(st.sampled_from("xyz"))))
    return Mapping(tuple(fields))


requests = st.fixed_dictionaries(
    {"f": st.sampled_from("xyz"), "t": st.text(max_size=3)},
    optional={"g": st.sampled_from("xyz"), "h": st.sampled_from("xyz")},
)


@given(mapping=any_mappings(), exchanged=st.lists(requests, min_size=1, max_size=3), asked=requests)
def test_a_mapping_that_is_wrong_on_a_value_has_not_been_shown_to_be_right_on_it(
    mapping: Mapping, exchanged: list[JsonObject], asked: JsonObject
) -> None:
    half = WHOLE
    routine = candidate(half, (Direction(mapping=mapping), Direction(mapping=Mapping())))
    rule = Copying(mapping=Mapping(TRUTH), whole=True)
    left = {each for each in nothing_shown(half) if each[0] == "into"}
    run, truth = mapping.compile(), Mapping(TRUTH).compile()
    for given_ in exchanged:
        agreed = False
        with suppress(BadInput):
            agreed = comparison.same(run(given_), truth(given_))
        if not agreed:
            continue
        verdict = replace(routine.verdict, unverified=tuple(sorted(left)))
        runnable = Runnable(replace(routine, verdict=verdict), no_source, "own")
        exchange = Exchange(given=given_, passed=truth(given_), returned={}, made={}, into=rule)
        shown = asyncio.run(shown_by(half, runnable, exchange))
        left = (left | shown.refuted) - shown.classes
    verdict = replace(routine.verdict, unverified=tuple(sorted(left)))
    right = True  # what it refuses is answered by the next tier
    with suppress(BadInput):
        right = comparison.same(run(asked), truth(asked))
    assert right or unverified(replace(routine, verdict=verdict), half, "into", asked)


async def no_source(*_: object, **__: object) -> JsonValue:
    raise AssertionError("a mapping runs no code")
