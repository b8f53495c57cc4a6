"""Conversations: they outlive workers and connections, end by themselves, and change neither document nor owner."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from negotiator.conversations import ConversationLimits, Conversations
from negotiator.dialects import ConversationExpired, ConversationFull, Malformed, UnknownConversation
from negotiator.errors import Overloaded
from negotiator.messages import Request
from protocol_docs import MemoryTextStore

A = ("sha256:" + "a" * 64, "sha1:" + "a" * 40)
B = ("sha256:" + "b" * 64, "sha1:" + "b" * 40)
WHO = "anonymous"


class HandClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


def counting():
    numbers = itertools.count()
    return lambda: f"c-{next(numbers)}"


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def store():
    return MemoryTextStore()


@pytest.fixture
def conversations(store, clock):
    return Conversations(store, clock, counting())


def test_history_grows_by_question_and_answer_in_order(conversations):
    opened = conversations.open(Request(body="one", multiround=True), principal=WHO)
    conversations.record(opened, "one", "first")
    again = conversations.resume(Request(body="two", conversation=opened.id), principal=WHO)
    assert again.history == (("user", "one"), ("assistant", "first"))
    conversations.record(again, "two", {"n": 2})
    history = conversations.get(opened.id, principal=WHO).history
    assert history[2:] == (("user", "two"), ("assistant", '{"n":2}'))


def test_another_worker_goes_on_where_one_stopped(store, clock):
    here, there = Conversations(store, clock, counting()), Conversations(store, clock, counting())
    opened = here.record(here.open(Request(body="one", hashes=A), principal=WHO), "one", "first")
    resumed = there.resume(Request(body="two", conversation=opened.id), principal=WHO)
    assert resumed == opened


def test_two_rounds_at_once_lose_nothing(conversations):
    opened = conversations.open(Request(body="one"), principal=WHO)
    first = conversations.resume(Request(body="x", conversation=opened.id), principal=WHO)
    second = conversations.resume(Request(body="y", conversation=opened.id), principal=WHO)
    conversations.record(first, "x", "X")
    conversations.record(second, "y", "Y")
    history = conversations.get(opened.id, principal=WHO).history
    assert history == (("user", "x"), ("assistant", "X"), ("user", "y"), ("assistant", "Y"))


def test_a_follow_up_may_repeat_its_document_in_either_spelling_or_leave_it_out(conversations):
    opened = conversations.open(Request(body="one", hashes=A), principal=WHO)
    for hashes in ((), A, A[:1], A[1:]):
        request = Request(body="two", conversation=opened.id, hashes=hashes)
        assert conversations.resume(request, principal=WHO).hashes == A


def test_a_follow_up_cannot_change_its_document(conversations):
    under_a = conversations.open(Request(body="one", hashes=A), principal=WHO)
    without = conversations.open(Request(body="one"), principal=WHO)
    for opened in (under_a, without):
        with pytest.raises(Malformed):
            conversations.resume(Request(body="two", conversation=opened.id, hashes=B), principal=WHO)


def test_a_follow_up_cannot_become_a_negotiation_nor_a_negotiation_name_a_document(conversations):
    words = conversations.open(Request(body="one"), principal=WHO)
    negotiation = conversations.open(Request(body="one", kind="negotiation"), principal=WHO)
    with pytest.raises(Malformed):
        conversations.resume(Request(body="two", kind="negotiation", conversation=words.id), principal=WHO)
    with pytest.raises(Malformed):
        conversations.resume(Request(body="two", hashes=A, conversation=negotiation.id), principal=WHO)
    going_on = Request(body="two", kind="negotiation", conversation=negotiation.id)
    assert conversations.resume(going_on, principal=WHO).kind == "negotiation"


def test_nobody_else_can_go_on_or_close(conversations):
    opened = conversations.open(Request(body="one"), principal="did:example:alice")
    with pytest.raises(UnknownConversation):
        conversations.resume(Request(body="two", conversation=opened.id), principal="did:example:mallory")
    assert not conversations.close(opened.id, principal="did:example:mallory")
    assert conversations.get(opened.id, principal="did:example:alice")


@pytest.mark.parametrize("name", [None, "", "c-99"])
def test_an_id_that_was_never_given_is_unknown(conversations, name):
    with pytest.raises(UnknownConversation):
        conversations.resume(Request(body="x", conversation=name), principal=WHO)


def test_each_turn_prolongs_a_conversation(conversations, clock):
    opened = conversations.open(Request(body="one"), principal=WHO)
    clock.now += 299
    assert conversations.record(opened, "one", "first").expires == clock.now + 300
    clock.now += 299
    assert conversations.get(opened.id, principal=WHO)


def test_an_expired_conversation_says_so_and_is_later_forgotten(conversations, store, clock):
    opened = conversations.open(Request(body="one"), principal=WHO)
    conversations.record(opened, "one", "first")
    clock.now += 300
    with pytest.raises(ConversationExpired):
        conversations.get(opened.id, principal=WHO)
    assert conversations.sweep() == 0
    with pytest.raises(ConversationExpired):
        conversations.get(opened.id, principal=WHO)
    clock.now += 300
    conversations.sweep()
    with pytest.raises(UnknownConversation):
        conversations.get(opened.id, principal=WHO)
    assert list(store.keys()) == []


def test_a_closed_conversation_leaves_nothing(conversations, store):
    opened = conversations.open(Request(body="one"), principal=WHO)
    conversations.record(opened, "one", "first")
    assert conversations.close(opened.id, principal=WHO)
    assert not conversations.close(opened.id, principal=WHO)
    assert list(store.keys()) == []


def test_an_answer_that_comes_after_the_close_does_not_open_it_again(conversations, store):
    opened = conversations.open(Request(body="one"), principal=WHO)
    conversations.close(opened.id, principal=WHO)
    conversations.record(opened, "one", "too late")
    assert list(store.keys()) == []


def test_a_conversation_has_a_bound_of_turns(store, clock):
    conversations = Conversations(store, clock, counting(), ConversationLimits(turns=2))
    opened = conversations.open(Request(body="x"), principal=WHO)
    for _ in range(2):
        conversations.record(conversations.resume(Request(body="x", conversation=opened.id), principal=WHO), "x", "y")
    with pytest.raises(ConversationFull):
        conversations.resume(Request(body="x", conversation=opened.id), principal=WHO)


def test_a_conversation_has_a_bound_of_bytes(store, clock):
    conversations = Conversations(store, clock, counting(), ConversationLimits(total_bytes=100))
    opened = conversations.open(Request(body="x"), principal=WHO)
    with pytest.raises(ConversationFull):
        conversations.resume(Request(body="é" * 51, conversation=opened.id), principal=WHO)
    conversations.record(opened, "x", "y" * 10_000)
    assert len(conversations.get(opened.id, principal=WHO).history[1][1]) == 100
    with pytest.raises(ConversationFull):
        conversations.resume(Request(body="x", conversation=opened.id), principal=WHO)


def test_conversations_together_have_a_bound_that_expiry_lifts(store, clock):
    conversations = Conversations(store, clock, counting(), ConversationLimits(at_most=6))
    for _ in range(3):
        conversations.open(Request(body="x"), principal=WHO)
    for _ in range(2):
        with pytest.raises(Overloaded):
            conversations.open(Request(body="x"), principal=WHO)
    # Strangers have half; who proves who they are has room still.
    for name in "abc":
        assert conversations.open(Request(body="x"), principal=name)
    with pytest.raises(Overloaded):
        conversations.open(Request(body="x"), principal="d")
    clock.now += 301
    assert conversations.open(Request(body="x"), principal=WHO)


def test_a_conversation_that_is_closed_makes_room(store, clock):
    conversations = Conversations(store, clock, counting(), ConversationLimits(at_most=2))
    opened = conversations.open(Request(body="x"), principal=WHO)
    with pytest.raises(Overloaded):
        conversations.open(Request(body="x"), principal=WHO)
    conversations.close(opened.id, principal=WHO)
    assert conversations.open(Request(body="x"), principal=WHO)


def test_the_texts_of_all_conversations_have_a_bound_and_one_that_finds_no_room_has_expired(store, clock):
    conversations = Conversations(store, clock, counting(), ConversationLimits(kept_bytes=22_000))
    said = "é" * 1_000
    opened = [conversations.open(Request(body="x"), principal=WHO) for _ in range(3)]
    grown = [conversations.record(each, said, said) for each in opened]
    assert [each.expires > clock.now for each in grown] == [True, True, False]
    with pytest.raises(ConversationExpired):
        conversations.resume(Request(body="x", conversation=grown[2].id), principal=WHO)
    assert sum(len(store.get(key).encode()) for key in list(store.keys())) < 10_000
    # Another process counts what this one has kept.
    other = Conversations(store, clock, lambda: "other", ConversationLimits(kept_bytes=22_000))
    more = other.open(Request(body="x"), principal=WHO)
    assert other.record(more, said, said).expires == clock.now
    # A known principal has a half of its own, and what expired is forgotten for others.
    known = conversations.open(Request(body="x"), principal="did:web:a.example")
    assert conversations.record(known, said, said).expires > clock.now
    clock.now += 301
    later = conversations.open(Request(body="x"), principal=WHO)
    assert conversations.record(later, said, said).expires > clock.now


def test_a_row_that_is_none_of_ours_is_no_conversation(conversations, store):
    opened = conversations.open(Request(body="x"), principal=WHO)
    for text in ("", "{", "[]", '{"kind": "exchange"}'):
        store.put(f"conversation/{opened.id}", text)
        with pytest.raises(UnknownConversation):
            conversations.get(opened.id, principal=WHO)
    assert conversations.sweep() == 0


class Life(RuleBasedStateMachine):
    """Against a plain dict: what is open, with which history, whatever the order of things."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.store = MemoryTextStore()
        new_id = counting()
        self.workers = [Conversations(self.store, self.clock, new_id) for _ in range(2)]
        self.model: dict[str, tuple[float, list[str]]] = {}

    @rule(worker=st.sampled_from([0, 1]), hashes=st.sampled_from([(), A]))
    def open(self, worker, hashes):
        opened = self.workers[worker].open(Request(body="o", hashes=hashes), principal=WHO)
        assert opened.id not in self.model
        self.model[opened.id] = (opened.expires, [])

    @rule(worker=st.sampled_from([0, 1]), which=st.integers(0, 5), text=st.text(max_size=5))
    def say(self, worker, which, text):
        name = f"c-{which}"
        request = Request(body=text, conversation=name)
        alive = name in self.model and self.model[name][0] > self.clock.now
        if not alive:
            with pytest.raises((UnknownConversation, ConversationExpired)):
                self.workers[worker].resume(request, principal=WHO)
            return
        found = self.workers[worker].resume(request, principal=WHO)
        assert [said for _, said in found.history] == self.model[name][1]
        grown = self.workers[worker].record(found, text, text.upper())
        self.model[name] = (grown.expires, [*self.model[name][1], text, text.upper()])

    @rule(worker=st.sampled_from([0, 1]), which=st.integers(0, 5))
    def close(self, worker, which):
        self.workers[worker].close(f"c-{which}", principal=WHO)
        self.model.pop(f"c-{which}", None)

    @rule(seconds=st.sampled_from([1.0, 200.0, 400.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(worker=st.sampled_from([0, 1]))
    def sweep(self, worker):
        left = self.workers[worker].sweep()
        assert left == sum(expires > self.clock.now for expires, _ in self.model.values())

    @invariant()
    def nothing_is_kept_of_what_was_closed(self):
        kept = {key.removeprefix("conversation/").partition("/")[0] for key in self.store.keys("conversation/")}
        assert kept <= set(self.model)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=30, stateful_step_count=20)


@pytest.mark.parametrize("made_up", ["", "é", "a/0000", "x" * 600, "a b", "\n"])
def test_what_is_no_id_is_an_unknown_conversation(conversations, made_up):
    assert not conversations.close(made_up, principal=WHO)
    with pytest.raises(UnknownConversation):
        conversations.get(made_up, principal=WHO)
