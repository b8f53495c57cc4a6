"""The negotiation dialogue: a table that nothing out of turn gets through."""

import contextlib
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from negotiator.errors import PeerMisspoke
from negotiator.negotiation import (
    Agreed,
    Agreement,
    Answer,
    Call,
    Counter,
    Dialogue,
    Intent,
    Opening,
    Response,
    Selected,
    parse_call,
    parse_response,
    result_digest,
    to_json,
)
from protocol_docs import catalog

ID = "6f1c2a9e"
ONE, OTHER = (Selected(protocol_hash=f"sha256:{digit * 64}") for digit in "01")
INTENT = Intent(name="n", description="d")


def opening(identifier: str = ID) -> Opening:
    return Opening(id=identifier, intent=INTENT)


def accepted(selected: Selected = ONE, digest: str | None = "own") -> Answer:
    own = result_digest(ID, selected) if digest == "own" else digest
    return Answer(id=ID, decision="accepted", selected=selected, digest=own)


def agreement(selected: Selected = ONE, **changed: str) -> Agreement:
    parts = {"protocol_hash": selected.protocol_hash, "digest": result_digest(ID, selected), **changed}
    return Agreement(id=ID, **parts)


def agreed(selected: Selected = ONE, **changed: str) -> Agreed:
    parts = {"protocol_hash": selected.protocol_hash, "digest": result_digest(ID, selected), **changed}
    return Agreed(id=ID, **parts)


def run(*messages: Call | Response, max_rounds: int = 4) -> Dialogue:
    dialogue = Dialogue(id=ID, role="opener", max_rounds=max_rounds)
    for message in messages:
        dialogue = dialogue.advance(message)
    return dialogue


def test_the_shortest_way_to_an_agreement() -> None:
    dialogue = run(opening(), accepted(), agreement(), agreed())
    assert (dialogue.state, dialogue.over, dialogue.rounds) == ("agreed", True, 2)
    assert dialogue.selected == ONE


def test_a_counter_replaces_what_was_selected() -> None:
    first = (opening(), accepted(ONE), Counter(id=ID, round=1), accepted(OTHER))
    assert run(*first, agreement(OTHER), agreed(OTHER)).state == "agreed"
    with pytest.raises(PeerMisspoke):
        run(*first, agreement(ONE))


def test_nothing_is_selected_after_more_information_was_asked_for() -> None:
    asking = Answer(id=ID, decision="needs_more_information", questions=("which?",))
    with pytest.raises(PeerMisspoke):
        run(opening(), accepted(), Counter(id=ID, round=1), asking, agreement())


@pytest.mark.parametrize(
    "messages",
    [
        (accepted(),),
        (agreement(),),
        (agreed(),),
        (Counter(id=ID, round=1),),
        (opening(), opening()),
        (opening(), agreement()),
        (opening(), agreed()),
        (opening(), accepted(), accepted()),
        (opening(), accepted(), agreed()),
        (opening(), accepted(), agreement(), accepted()),
        (opening(), accepted(), agreement(), agreed(), agreed()),
        (opening(), accepted(), agreement(), agreed(), opening()),
        (opening(), Answer(id=ID, decision="rejected"), Counter(id=ID, round=1)),
        (opening("another"),),
        (opening(), accepted().model_copy(update={"id": "another"})),
        (opening(), Answer(id=ID, decision="accepted")),
        (opening(), accepted(digest="sha256:" + "f" * 64)),
        (opening(), accepted(), agreement(OTHER)),
        (opening(), accepted(), agreement(digest="sha256:" + "f" * 64)),
        (opening(), accepted(), agreement(), agreed(OTHER)),
        (opening(), accepted(), agreement(), agreed(digest="")),
    ],
)
def test_what_does_not_follow_is_refused_and_changes_nothing(messages: tuple[Any, ...]) -> None:
    dialogue = run(*messages[:-1])
    before = dataclasses.replace(dialogue)
    with pytest.raises(PeerMisspoke):
        dialogue.advance(messages[-1])
    assert dialogue == before


def test_rounds_are_capped() -> None:
    dialogue = run(opening(), accepted(), Counter(id=ID, round=1), accepted(), max_rounds=2)
    with pytest.raises(PeerMisspoke, match="rounds"):
        dialogue.advance(Counter(id=ID, round=2))
    with pytest.raises(PeerMisspoke, match="rounds"):
        dialogue.advance(agreement())


def test_the_digest_is_the_one_that_the_document_gives() -> None:
    selected = Selected(
        protocol_hash="sha256:8fd905e6856f59e29482bfe7208343e4374dc6091ff917887256815da2f38000",
        tier="structured",
        valid_seconds=86400,
    )
    assert result_digest(ID, selected) in catalog.negotiation_dialogue().text


def test_the_documents_own_examples_are_read_and_those_of_errors_are_not() -> None:
    annex = catalog.negotiation_dialogue().annex
    assert annex is not None
    for example in annex.examples:
        assert to_json(parse_call(example.request))["type"] == example.request["type"]
        if "error" in example.reply:
            with pytest.raises(PeerMisspoke):
                parse_response(example.reply)
        else:
            assert parse_response(example.reply).id == ID


messages = st.one_of(
    st.builds(opening),
    st.builds(Counter, id=st.just(ID), round=st.integers(1, 5)),
    st.builds(
        Answer,
        id=st.sampled_from([ID, "other"]),
        decision=st.sampled_from(["accepted", "rejected", "needs_more_information"]),
        selected=st.sampled_from([None, ONE, OTHER]),
        digest=st.sampled_from([None, result_digest(ID, ONE), result_digest(ID, OTHER), "x"]),
    ),
    st.builds(agreement, st.sampled_from([ONE, OTHER])),
    st.builds(agreed, st.sampled_from([ONE, OTHER])),
    st.builds(lambda: agreement(digest="x")),
)


class AnyDialogue(RuleBasedStateMachine):
    """Whatever is said in whatever order, an agreement is on what was last selected, by turns, within the cap."""

    def __init__(self) -> None:
        super().__init__()
        self.dialogue = Dialogue(id=ID, role="responder", max_rounds=5)
        self.heard: list[Any] = []

    @rule(message=messages)
    def say(self, message: Any) -> None:
        before = self.dialogue
        try:
            self.dialogue = before.advance(message)
        except PeerMisspoke:
            assert self.dialogue is before
        else:
            self.heard.append(message)

    @invariant()
    def turns_alternate(self) -> None:
        for at, message in enumerate(self.heard):
            assert isinstance(message, Opening | Counter | Agreement) == (at % 2 == 0)

    @invariant()
    def rounds_are_capped(self) -> None:
        assert self.dialogue.rounds == (len(self.heard) + 1) // 2 <= 5

    @invariant()
    def an_agreement_is_on_what_was_selected(self) -> None:
        if self.dialogue.state == "agreed":
            answers = [message for message in self.heard if isinstance(message, Answer)]
            assert answers[-1].decision == "accepted"
            assert self.heard[-1].protocol_hash == answers[-1].selected.protocol_hash
            assert self.heard[-1].digest == result_digest(ID, answers[-1].selected)
            assert self.dialogue.over


TestAnyDialogue = AnyDialogue.TestCase
TestAnyDialogue.settings = settings(max_examples=150, stateful_step_count=14)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(value=json_values | st.text() | st.binary(max_size=30))
def test_whatever_comes_is_a_message_or_a_typed_error(value: Any) -> None:
    for parse in (parse_call, parse_response):
        with pytest.raises(PeerMisspoke):
            parse(value)


@given(changes=st.dictionaries(st.sampled_from(["id", "intent", "candidates", "constraints", "type"]), json_values))
def test_a_mutated_opening_is_read_or_refused(changes: dict[str, Any]) -> None:
    value = {**to_json(opening()), **changes}
    with contextlib.suppress(PeerMisspoke):
        assert parse_call(value).type in ("opening", "counter", "agreement")


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "x" * 65},
        {"id": "a b"},
        {"intent": {"name": "n" * 201, "description": ""}},
        {"intent": {"name": "n", "description": "d" * 4001}},
        {"candidates": ["sha256:" + "0" * 64] * 65},
        {"candidates": ["sha1:" + "0" * 40]},
    ],
)
def test_what_is_over_its_length_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PeerMisspoke):
        parse_call({**to_json(opening()), **changes})
