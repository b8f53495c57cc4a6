"""The stand-in for synthesis: what it makes is what it says, and what is counted is what happened."""

import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data import DataMissing
from benchmarks.scenarios.mutants import (
    FORMS,
    ROLES,
    Carrying,
    Case,
    Stage,
    cases,
    document_for,
    of_kind,
    summary,
)
from benchmarks.scenarios.mutations import MUTATIONS, as_code, as_mapping, mutant, right
from benchmarks.scenarios.sgdx_data import Pair, load_pairs, split_directory
from negotiator.routines import Role
from sandbox.trusted import Trusted

pytestmark = pytest.mark.anyio

TEXT = {"type": "string"}
SEAT = {"type": "string", "enum": ["1", "2", "3"]}


def schema(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def rows(**properties: Any) -> dict[str, Any]:
    items = schema(list(properties), **properties)
    return schema(["results"], results={"type": "array", "items": items, "maxItems": 3})


def call(number: int) -> dict[str, Any]:
    parameters = {"start": f"town {number}", "end": f"city {number}", "seats": "2" if number == 9 else "1"}
    if number % 2:
        parameters["stop"] = f"stop {number}"
    trips = [{"fare": str(number + each), "line": f"line {number}", "seats": parameters["seats"]} for each in (1, 2)]
    return {"parameters": parameters, "results": trips}


PAIR = Pair(
    service="Trains_1",
    method="FindTrain",
    description="Find a train",
    takes=schema(["start", "end", "seats"], start=TEXT, end=TEXT, seats=SEAT, stop=TEXT),
    gives=rows(fare=TEXT, line=TEXT, seats=SEAT),
    client_description="Look for a train",
    client_takes=schema(["whence", "whither", "places"], whence=TEXT, whither=TEXT, places=SEAT, halt=TEXT),
    client_gives=rows(price=TEXT, service=TEXT, places=SEAT),
    transactional=False,
    names={"start": "whence", "end": "whither", "seats": "places", "stop": "halt", "fare": "price", "line": "service"},
    calls=tuple(call(number) for number in range(10)),
)


def case(carrying: Carrying, role: Role, form: Any, kind: str | None) -> Case:
    program = right(PAIR) if kind is None else mutant(PAIR, kind, form, random.Random(1))
    assert program is not None
    return Case(
        pair=PAIR, variant=1, share=1.0, carrying=carrying, role=role, form=form, kind=kind, program=program
    )  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_the_right_program_is_the_gold_renaming_in_either_form(role: Role) -> None:
    into, back = as_mapping(right(PAIR))
    assert into.mapping is not None
    assert back.mapping is not None
    _, _, source = as_code(right(PAIR), role)
    names = ("encode", "decode") if role == "sender" else ("arguments", "reply")
    for each in PAIR.calls:
        asked = PAIR.ask(each)
        for way, given, wanted in (
            (0, asked, each["parameters"]),
            (1, {"results": each["results"]}, PAIR.expected(each)),
        ):
            assert (into, back)[way].mapping.compile()(given) == wanted  # type: ignore[union-attr]
            assert Trusted().run(source, given, entry=names[way]) == wanted


@pytest.mark.parametrize("kind", MUTATIONS)
@pytest.mark.parametrize("form", ["mapping", "code"])
def test_a_mutant_is_wrong_on_some_value_and_a_rare_one_on_none_of_the_first(kind: str, form: Any) -> None:
    program = mutant(PAIR, kind, form, random.Random(3))
    if program is None:
        assert (kind, form) == ("rare", "mapping")
        return
    _, _, source = as_code(program, "sender")
    wrong = []
    for number, each in enumerate(PAIR.calls):
        try:
            made = [
                Trusted().run(source, PAIR.ask(each), entry="encode"),
                Trusted().run(source, {"results": each["results"]}, entry="decode"),
            ]
        except Exception as error:  # noqa: BLE001 - a mutant may fail in any way
            made = [error]
        if made != [each["parameters"], PAIR.expected(each)]:
            wrong.append(number)
    assert program != right(PAIR)
    if kind == "rare":
        assert wrong
        assert min(wrong) > 2
    elif kind != "enum":  # the values that it exchanges may be ones that no call has
        assert wrong


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("carrying", FORMS)
async def test_a_right_routine_serves_after_three_exchanges_and_is_never_wrong(carrying: Carrying, role: Role) -> None:
    stage = Stage(PAIR)
    try:
        for form in FORMS[carrying]:
            played = await stage.play(case(carrying, role, form, None))
            assert played.state == "serving"
            assert {what for _, what in played.counts} == {"right"}
            assert played.counts["routine", "right"] > 0
            if carrying != "prose":
                assert played.counts["structured", "right"] == 3
    finally:
        await stage.aclose()


@pytest.mark.parametrize("kind", MUTATIONS)
async def test_no_mutant_answers_wrongly_where_the_document_carries_its_examples(kind: str) -> None:
    stage = Stage(PAIR)
    try:
        for role in ROLES:
            for seed in range(2):
                for form in FORMS["examples"]:
                    program = mutant(PAIR, kind, form, random.Random(seed))
                    if program is None:
                        continue
                    one = Case(
                        pair=PAIR, variant=1, share=1.0, carrying="examples", role=role, form=form, kind=kind,
                        program=program,
                    )  # fmt: skip
                    played = await stage.play(one)
                    assert not played.counts["routine", "wrong"], one.describes
    finally:
        await stage.aclose()


async def test_what_a_mutant_answers_is_counted_where_nothing_stops_it() -> None:
    stage = Stage(PAIR)
    try:
        for seed in range(20):
            program = mutant(PAIR, "rare", "code", random.Random(seed))
            assert program is not None
            one = Case(
                pair=PAIR, variant=1, share=0.6, carrying="prose", role="receiver", form="code", kind="rare",
                program=program,
            )  # fmt: skip
            played = await stage.play(one)
            if played.counts["routine", "wrong"]:
                break
    finally:
        await stage.aclose()
    row = summary(0.6, "prose", [played])
    assert (row["mutants"], row["mutants_that_served"], row["wrong"]) == (1, 1, [one.describes])
    assert row["wrong_by_routine"] == of_kind("rare", "prose", [played])["wrong_by_routine"] > 0


def test_the_share_of_mutants_is_what_was_asked_for_and_the_same_seed_draws_the_same() -> None:
    drawn = [
        [each.kind is not None for seed in range(25) for each in cases(PAIR, 1, [share], seed)]
        for share in (0.0, 0.2, 1.0)
    ]
    assert [sum(each) / len(each) for each in drawn] == [0.0, pytest.approx(0.2, abs=0.08), 1.0]
    assert list(cases(PAIR, 1, [0.6], 5)) == list(cases(PAIR, 1, [0.6], 5))


def test_documents_carry_what_they_are_said_to() -> None:
    with_examples, bare, prose = (document_for(case(each, "sender", "code", None)) for each in FORMS)
    assert with_examples.annex is not None
    assert with_examples.annex.examples
    assert bare.annex is not None
    assert not bare.annex.examples
    assert bare.annex.request_schema == with_examples.annex.request_schema
    assert prose.annex is None


def test_the_data_has_pairs_for_it(data_dir: Path) -> None:
    try:
        directory = split_directory(data_dir, "dev")
    except DataMissing as missing:
        pytest.skip(str(missing))
    for one in load_pairs(directory, variant=1, pairs=5, requests=12, seed=0):
        assert any(mutant(one, kind, "code", random.Random(0)) for kind in MUTATIONS)
