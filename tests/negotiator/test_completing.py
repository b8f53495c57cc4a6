"""A routine that leaves out a field which the structured tier copies is completed from its exchanges."""

import pytest

from negotiator import CostPolicy, Task
from negotiator.completing import completed
from negotiator.evidence import Copying, Exchange
from negotiator.jsonvalue import JsonObject
from negotiator.mapping import FieldMapping, Mapping
from negotiator.models.base import Message
from negotiator.models.scripted import ScriptedModel
from negotiator.routines import Direction, Routine
from negotiator.testing import World

ID = FieldMapping(to="/id", source="/number", required=True)
WHY = FieldMapping(to="/error", source="/note")


def routine(*back: FieldMapping, refused: tuple[str, ...] = (), kind: str = "mapping") -> Routine:
    return Routine(
        protocol_hash="sha256:" + 64 * "0", role="receiver", kind=kind, key_digest="k",  # type: ignore[arg-type]
        into=Direction(mapping=Mapping((ID,))), back=Direction(mapping=Mapping(back, refused)),
    )  # fmt: skip


def exchange(*back: FieldMapping) -> Exchange:
    return Exchange(
        given={}, passed={}, returned={}, made={},
        into=Copying(mapping=Mapping((ID,)), whole=True), back=Copying(mapping=Mapping(back), whole=True),
    )  # fmt: skip


def back_of(found: Routine | None) -> tuple[FieldMapping, ...] | None:
    return None if found is None or found.back.mapping is None else found.back.mapping.fields


def test_what_each_exchange_copied_alike_is_added_and_no_longer_refused() -> None:
    found = completed(routine(ID, refused=("/note", "/other")), [exchange(ID, WHY), exchange(WHY, ID)])
    assert back_of(found) == (ID, WHY)
    assert found is not None
    assert found.back.mapping is not None
    assert found.back.mapping.refused == ("/other",)


@pytest.mark.parametrize(
    "exchanges",
    [
        pytest.param([exchange(ID, WHY)], id="one exchange is no evidence"),
        pytest.param([exchange(ID, WHY), exchange(ID)], id="not each time"),
        pytest.param(
            [exchange(ID, WHY), exchange(ID, FieldMapping(to="/error", source="/text"))], id="not from the same field"
        ),
        pytest.param([exchange(ID, FieldMapping(to="/error", source="/number"))] * 2, id="from a field that is read"),
        pytest.param([exchange(ID)] * 3, id="nothing more"),
        pytest.param(
            [exchange(FieldMapping(to="/id", source="/other", required=True))] * 3, id="another reading of it"
        ),
    ],
)
def test_nothing_is_added_on_less(exchanges: list[Exchange]) -> None:
    assert completed(routine(ID), exchanges) is None


def test_code_is_left_as_it_is() -> None:
    assert completed(routine(ID, kind="code"), [exchange(ID, WHY)] * 2) is None


def test_items_of_lists_are_completed_too_and_empty_lists_say_nothing() -> None:
    def rows(*fields: FieldMapping) -> FieldMapping:
        return FieldMapping(to="/rows", source="/results", each=Mapping(fields))

    found = completed(routine(rows(ID)), [exchange(rows()), exchange(rows(ID, WHY)), exchange(rows(ID, WHY))])
    assert back_of(found) == (rows(ID, WHY),)


def _object(required: int, **fields: str) -> JsonObject:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": said} for name, said in fields.items()},
        "required": list(fields)[:required],
        "additionalProperties": False,
    }


def _pairs(_messages: list[Message], schema: JsonObject) -> JsonObject:
    means = {"zug": "guest", "guest": "zug", "outcome": "state", "xylo": "qwertz"}
    return {
        name: means[name] if means.get(name) in part["enum"] else part["enum"][-1]
        for name, part in schema["properties"].items()
    }


@pytest.mark.anyio
async def test_an_optional_field_that_rules_leave_out_costs_two_exchanges_and_no_demotion() -> None:
    """What seldom comes is not learned anew with each request that holds it."""
    async with World() as world:
        model = ScriptedModel({"pair_fields": _pairs, "choose_fields": _pairs})
        server = world.agent("server", model)

        @server.tool(
            effect="safe", name="seat", description="Reserve a table for a guest",
            input=_object(1, guest="name of the guest"), output=_object(1, state="state of the table", qwertz="zzz"),
        )  # fmt: skip
        def seat(guest: str) -> JsonObject:
            return {"state": "free"} if guest != "Bo" else {"state": "taken", "qwertz": "full"}

        task = Task(
            "Reserve a table for a guest", name="seat", effect="safe",
            input=_object(1, zug="name of the guest"), output=_object(1, outcome="state of the table", xylo="yyy"),
        )  # fmt: skip
        caller = world.agent("caller", model)
        tiers, outputs = [], []
        for name in ("Ada", "Cleo", "Dan", "Bo", "Bo", "Ada", "Bo"):
            outcome = await caller.ask("mem://server", task, {"zug": name})
            tiers.append(outcome.peer_tier)
            outputs.append(outcome.json)
            await world.settle()
        assert tiers == ["structured"] * 3 + ["routine"] * 4
        assert outputs[-1] == {"outcome": "taken", "xylo": "full"}
        (made,) = [each for each in server.routines() if each.serving]
        assert made.verdict.shadows >= CostPolicy().shadow_exchanges
        assert not made.verdict.unverified
