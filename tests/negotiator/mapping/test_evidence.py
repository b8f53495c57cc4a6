"""What is evidence beside words: values that were seen, JSON-LD, an embedder; and lists of values in two spellings."""

from collections.abc import Sequence
from typing import Any

import pytest

from negotiator.mapping import Inference, infer
from negotiator.mapping.enums import table_between
from negotiator.mapping.examples import Examples


def obj(required: "list[str] | None" = None, **properties: Any) -> dict[str, Any]:
    made = {name: {"type": "string"} | part for name, part in properties.items()}
    return {"type": "object", "properties": made, "required": sorted(made) if required is None else required}


def pairs(found: Inference) -> dict[str, str]:
    return {match.target: match.source for match in found.matches}


STRANGE_HERE, STRANGE_THERE = obj(alpha={}, beta={}, gamma={}), obj(uno={}, due={}, tre={})
SEEN = Examples(
    source=[
        {"alpha": "2026-11-24", "beta": "Rome", "gamma": "ada@example.org"},
        {"alpha": "2026-12-01", "beta": "Oslo", "gamma": "bob@example.org"},
        {"alpha": "2027-01-15", "beta": "Lima", "gamma": "eve@example.org"},
    ],
    target=[
        {"uno": "Lima", "due": "2026-03-02", "tre": "joe@example.org"},
        {"uno": "Rome", "due": "2026-04-09", "tre": "ada@example.org"},
        {"uno": "Oslo", "due": "2025-12-24", "tre": "eve@example.org"},
    ],
)


def test_values_that_were_seen_speak_for_pairs_that_words_say_nothing_about() -> None:
    without = infer(STRANGE_HERE, STRANGE_THERE)
    found = infer(STRANGE_HERE, STRANGE_THERE, examples=SEEN)
    likeliest = {match.target: match.source for match in (*found.matches, *found.doubtful)}
    assert pairs(without) == {}
    assert likeliest == {"/uno": "/beta", "/due": "/alpha", "/tre": "/gamma"}


def test_examples_in_the_schema_count_as_seen() -> None:
    def with_examples(schema: Any, values: Sequence[Any]) -> Any:
        return obj(**{name: {"examples": [value[name] for value in values]} for name in schema["properties"]})

    here, there = with_examples(STRANGE_HERE, SEEN.source), with_examples(STRANGE_THERE, SEEN.target)
    said = infer(here, there)
    assert said.matches == infer(STRANGE_HERE, STRANGE_THERE, examples=SEEN).matches


def test_values_written_in_another_form_speak_against_a_pair() -> None:
    source, target = obj(contact={"description": "Code of it"}), obj(code={"description": "Its code"})
    other = Examples(
        source=[{"contact": value} for value in ("ada@example.org", "bob@example.org", "eve@example.org")],
        target=[{"code": value} for value in ("2026-11-24", "2026-12-01", "2026-12-02")],
    )
    assert infer(source, target, examples=other).matches[0].score < infer(source, target).matches[0].score - 0.5


@pytest.mark.parametrize("odd", [None, 3, [], {"rows": 3}, {"rows": [None, {"a": []}]}, "text"])
def test_odd_values_are_passed_over(odd: Any) -> None:
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": obj(a={}, b={})}}}
    other = {"type": "object", "properties": {"rows": {"type": "array", "items": obj(a={}, c={})}}}
    infer(schema, other, examples=Examples(source=[odd], target=[odd]), direction="reply")


def test_fields_that_json_ld_calls_the_same_are_paired_whatever_they_are_named() -> None:
    source = {"@context": {"schema": "https://schema.org/"}} | obj(
        x={"@id": "schema:givenName"}, y={"@id": "schema:familyName"}
    )
    target = {"@context": "http://schema.org/"} | obj(familyName={}, givenName={})
    assert pairs(infer(source, target)) == {"/familyName": "/y", "/givenName": "/x"}


def test_terms_of_a_context_name_what_a_property_is() -> None:
    source = {"@context": {"when": "https://schema.org/startDate", "till": "https://schema.org/endDate"}} | obj(
        when={}, till={}
    )
    target = {"@context": {"@vocab": "https://schema.org/"}} | obj(endDate={}, startDate={})
    assert pairs(infer(source, target)) == {"/endDate": "/till", "/startDate": "/when"}


def test_namesakes_that_json_ld_tells_apart_are_not_believed() -> None:
    source = {"@context": {"title": "https://schema.org/jobTitle"}} | obj(title={"description": "Title"})
    target = {"@context": {"title": "https://schema.org/headline"}} | obj(title={"description": "Title"})
    assert infer(obj(title={"description": "Title"}), obj(title={"description": "Title"})).exact
    found = infer(source, target)
    assert not found.exact
    apart = source | {"@context": {"title": "https://schema.org/headline"}}
    assert infer(apart, target).exact
    assert found.mapping is None
    assert found.matches == ()


def test_the_classes_and_units_of_a_thing_description_count() -> None:
    context = {"@context": ["https://www.w3.org/2022/wot/td/v1.1", {"saref": "https://saref.etsi.org/core/"}]}
    source = context | obj(
        t={"type": "number", "@type": "saref:Temperature", "unit": "degree celsius"},
        h={"type": "number", "@type": "saref:Humidity"},
    )
    target = context | obj(
        reading1={"type": "number", "@type": "saref:Humidity"},
        reading2={"type": "number", "@type": "saref:Temperature", "unit": "Fahrenheit"},
    )
    found = infer(source, target, direction="reply")
    assert pairs(found) == {"/reading1": "/h", "/reading2": "/t"}
    assert found.mapping is not None
    assert found.mapping.compile()({"t": 20, "h": 0.5}) == {"reading1": 0.5, "reading2": 68.0}


def test_a_context_of_any_shape_is_read_without_end() -> None:
    for context in (7, [], [[["x"]]], {"a": "a"}, {"a": "b", "b": "a"}, {"a": {"@id": 3}}, {"@vocab": 3}, "x" * 9999):
        infer({"@context": context} | obj(a={"@id": "a", "@type": ["b", 3]}), obj(b={}))


class Meanings:
    """An embedder that knows which texts mean the same, because it is told."""

    name = "told"

    def __init__(self, *groups: set[str]) -> None:
        self._groups = groups
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        for number, group in enumerate(self._groups):
            if any(word in text for word in group):
                return [1.0 if at == number else 0.0 for at in range(400)]
        place = 10 + sum(text.encode()) % 389
        return [1.0 if at == place else 0.0 for at in range(400)]


def test_an_embedder_of_ones_own_speaks_for_what_words_do_not_know() -> None:
    source = obj(zorgle={"description": "A zorgle"}, flimp={"description": "This flimp"})
    target = obj(quux={"description": "Some quux"}, brack={"description": "One brack"})
    told = Meanings({"zorgle", "brack"}, {"flimp", "quux"})
    found = infer(source, target, embedder=told)
    likeliest = {match.target: match.source for match in (*found.matches, *found.doubtful)}
    assert likeliest == {"/quux": "/flimp", "/brack": "/zorgle"}
    assert infer(source, target).matches == ()
    assert {"zorgle", "flimp", "quux", "brack"} <= set(told.asked)


def test_what_words_settle_stays_whatever_an_embedder_says_and_it_is_asked_about_the_rest() -> None:
    source = obj(city={"description": "City of the hotel"}, zorgle={"description": "A zorgle"})
    target = obj(town={"description": "City of the hotel"}, brack={"description": "One brack"})
    by_words = infer(source, target).matches
    assert [(match.target, match.source) for match in by_words] == [("/town", "/city")]
    told = Meanings({"zorgle", "brack"})
    found = infer(source, target, embedder=told)
    assert {match.target: match.source for match in found.matches} == {"/town": "/city", "/brack": "/zorgle"}
    assert next(match.margin for match in found.matches if match.target == "/town") >= by_words[0].margin
    assert {"zorgle", "brack"} <= set(told.asked)
    assert not {"city", "town"} & set(told.asked)
    contrary = infer(source, target, embedder=Meanings({"zorgle", "town", "City of the hotel"}, {"city", "brack"}))
    assert {match.target: match.source for match in contrary.matches}.get("/town") == "/city"


def test_an_embedder_is_not_asked_where_words_leave_nothing_to_pair() -> None:
    told = Meanings()
    source = obj(city={"description": "City of the hotel"}, zorgle={"description": "A zorgle"})
    assert infer(source, obj(town={"description": "City of the hotel"}), direction="reply", embedder=told).mapping
    assert told.asked == []


def test_what_a_peer_writes_reaches_an_embedder_cut_to_length() -> None:
    told = Meanings()
    infer(obj(a={"description": "word " * 5000}), obj(b={"description": "other " * 5000}), embedder=told)
    assert max(map(len, told.asked)) <= 200


@pytest.mark.parametrize(
    ("source", "target", "rows"),
    [
        (["economy", "first"], ["FIRST_CLASS", "ECONOMY_CLASS"], {"economy": "ECONOMY_CLASS", "first": "FIRST_CLASS"}),
        (["M", "F"], ["male", "female"], {"M": "male", "F": "female"}),
        (["cancelled", "done"], ["DONE", "CANCELED", "LOST"], {"cancelled": "CANCELED", "done": "DONE"}),
        (["mon", "tue"], ["Monday", "Tuesday"], {"mon": "Monday", "tue": "Tuesday"}),
        (["in_progress", "done"], ["InProgress", "Done"], {"in_progress": "InProgress", "done": "Done"}),
        (["connected", "unconnected"], ["off", "on"], {}),
        (["unconnected"], ["connected"], {}),
        (["start", "end"], ["end", "begin"], {}),
        (["departure", "arrival"], ["Arrivals", "Departures"], {"departure": "Departures", "arrival": "Arrivals"}),
        (["low", "high"], ["1", "2"], {}),
        (["a", "b"], ["a"], {}),
        (["m", "ma"], ["male", "mature"], {}),
    ],
)
def test_lists_of_values_are_translated_where_each_has_one_counterpart(source: Any, target: Any, rows: Any) -> None:
    assert dict(table_between(source, target)) == rows
    backwards = dict(table_between(source[::-1], target[::-1]))
    assert backwards == rows
