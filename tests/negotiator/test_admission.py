"""Who is let in: never more than there is room, nobody twice, and no flood takes the room of others."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.admission import Backlog, Shares, UnderWay
from negotiator.errors import Overloaded
from negotiator.wire import ANONYMOUS

ROOM = 128


def flood(room: UnderWay, *, caller: str = "", document: str = "", at_most: int = 1000) -> int:
    """Places taken before the first refusal; where a name is empty, each request has another."""
    for number in range(at_most):
        try:
            room.enter(caller or f"caller {number}", document or f"document {number}")
        except Overloaded:
            return number
    return at_most


@pytest.mark.parametrize(
    ("flooded", "taken"),
    [
        ({"caller": "a", "document": "d"}, 103),
        ({"caller": "a"}, 114),
        ({"document": "d"}, 121),
        ({}, 128),
    ],
)
def test_a_lone_flood_may_have_most_of_the_room_and_leaves_a_share(flooded, taken):
    room = UnderWay(ROOM)
    assert flood(room, **flooded) == taken
    assert room.now == taken
    assert room.full == (taken == ROOM)


@pytest.mark.parametrize(
    ("flooded", "other"),
    [
        ({"caller": "a", "document": "d"}, ("b", "d")),
        ({"caller": "a", "document": "d"}, ("a", "e")),
        ({"caller": "a"}, ("b", "document 0")),
        ({"document": "d"}, ("b", "e")),
    ],
)
def test_who_comes_after_a_flood_finds_room(flooded, other):
    room = UnderWay(ROOM)
    flood(room, **flooded)
    room.enter(*other)


def test_several_floods_get_shares_of_one_size():
    room, held = UnderWay(ROOM), Counter()
    for _ in range(ROOM):
        for caller in "abc":
            try:
                room.enter(caller, "d " + caller)
                held[caller] += 1
            except Overloaded:
                pass
    assert max(held.values()) - min(held.values()) <= 1
    assert sum(held.values()) < ROOM


def test_a_room_for_one_takes_one():
    room = UnderWay(1)
    room.enter("a", "d")
    with pytest.raises(Overloaded):
        room.enter("b", "e")


@pytest.mark.parametrize(
    ("principal", "peer", "same"),
    [
        (ANONYMOUS, "10.0.0.2", ("10.0.0.2", "d")),
        (ANONYMOUS, None, ("", "d")),
        ("did:web:a.example", "10.0.0.2", ("did:web:a.example", "d")),
    ],
)
def test_who_proved_nothing_is_known_by_the_address(principal, peer, same):
    """A proved caller shares with nobody at its address, and an unproved one with all of them."""
    room = UnderWay(5)
    with room.of(principal, peer, "d"), room.of(principal, peer, "d"):
        for _ in range(2):
            room.enter(*same)
        with pytest.raises(Overloaded):
            room.enter(*same)
        room.enter("somebody else", "d")


def test_a_place_is_given_back_with_an_error_too_and_not_taken_by_a_refusal():
    room = UnderWay(1)
    with pytest.raises(KeyError), room.of("a", None, "d"):
        raise KeyError
    with room.of("a", None, "d"):
        with pytest.raises(Overloaded), room.of("b", None, "d"):
            pytest.fail("there was no room")
        assert room.now == 1
    assert room.now == 0


SHARES = st.builds(
    Shares,
    caller_and_document=st.integers(1, 4),
    caller=st.integers(1, 8),
    document=st.integers(1, 16),
)


@given(
    room=st.integers(1, 12),
    shares=SHARES,
    steps=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz"), st.booleans())),
)
def test_whatever_comes_and_goes_the_counts_hold(room, shares, steps):
    """Each step enters, or ends the oldest of that caller and document; a model of who is inside is kept beside it."""
    under_way, inside = UnderWay(room, shares), Counter()
    for caller, document, comes in steps:
        free = room - inside.total()
        if comes:
            refused = (
                inside[caller, document] >= shares.caller_and_document * free
                or sum(n for (who, _), n in inside.items() if who == caller) >= shares.caller * free
                or sum(n for (_, what), n in inside.items() if what == document) >= shares.document * free
            )
            if refused:
                with pytest.raises(Overloaded):
                    under_way.enter(caller, document)
            else:
                under_way.enter(caller, document)
                inside[caller, document] += 1
        elif inside[caller, document]:
            under_way.leave(caller, document)
            inside[caller, document] -= 1
        assert under_way.now == inside.total() <= room
        assert under_way.full == (inside.total() == room)
    for (caller, document), number in inside.items():
        for _ in range(number):
            under_way.leave(caller, document)
    # Nothing is remembered of who has left: memory does not grow with names that strangers make up.
    assert [under_way._callers, under_way._documents, under_way._both] == [{}, {}, {}]


@given(shares=SHARES, floods=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=300))
def test_a_newcomer_is_let_in_as_long_as_a_place_is_free(shares, floods):
    room = UnderWay(16, shares)
    for flow in floods:
        try:
            room.enter(*flow)
        except Overloaded:
            continue
    if not room.full:
        room.enter("newcomer", "another document")


# --- more than can be begun ---


class Loop:
    """Batches of requests on a clock of their own; each that is begun takes a millisecond of it."""

    def __init__(self, backlog):
        self.backlog, self.now = backlog, 100.0

    def batch(self, number, *, after=0.0):
        """How many of `number` requests are taken that are found at once."""
        self.now += after
        taken = sum(self.backlog.takes(self.now) for _ in range(number))
        for _ in range(taken):
            self.now += 0.001
            self.backlog.begins(self.now)
        return taken


def overloaded():
    loop = Loop(Backlog(crowd=8, few=2, patience=0.05))
    while loop.batch(20) == 20:
        pass
    return loop


def test_a_burst_is_taken_whole_and_a_flood_is_not():
    loop = Loop(Backlog(crowd=8, few=2, patience=0.05))
    assert loop.batch(200) == 200
    # It took longer than the patience, so that the next one is a flood and no burst.
    assert loop.batch(20) == 2
    assert loop.batch(20) == 2


def test_no_more_are_taken_at_once_than_wait_for_each_other_in_a_burst():
    loop = Loop(Backlog(burst=30, crowd=8, few=2, patience=1.0))
    assert [loop.batch(each) for each in (30, 31, 200)] == [30, 30, 30]


def test_what_no_crowd_brings_is_always_taken():
    loop = Loop(Backlog(crowd=8, few=2, patience=0.05))
    assert all(loop.batch(8) == 8 for _ in range(1000))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(("after", "taken"), [(0.0, 2), (0.9, 2), (1.1, 20)])
def test_a_flood_is_over_when_no_more_than_a_few_have_come_for_a_while(number, after, taken):
    loop = overloaded()
    assert loop.batch(number) == number
    assert loop.batch(20, after=after) == taken


def test_a_flood_goes_on_while_more_than_a_few_come():
    loop = overloaded()
    for _ in range(5):
        assert loop.batch(3, after=0.9) == 2
    assert loop.batch(2, after=0.9) == 2
    assert loop.batch(3, after=0.2) == 3


def test_a_flood_is_over_without_a_pause_too():
    loop = overloaded()
    assert all(loop.batch(2) == 2 for _ in range(1000))
    assert loop.batch(3) == 3


def test_one_that_came_to_a_crowd_and_was_not_asked_about_is_of_its_batch():
    loop = overloaded()
    assert [loop.backlog.takes(loop.now) for _ in range(2)] == [True, True]
    assert loop.backlog.crowded
    loop.backlog.refused()
    for _ in range(2):
        loop.backlog.begins(loop.now)
    assert loop.batch(20) == 2


@given(batches=st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.0, 0.0, 0.0, 0.01])), max_size=60))
def test_of_each_batch_something_is_taken_and_in_a_flood_no_more_than_a_few_wait(batches):
    loop = Loop(Backlog(crowd=8, few=2, patience=0.05))
    for number, after in batches:
        taken = loop.batch(number, after=after)
        assert taken in (number, 2)
        assert loop.backlog._waiting == 0


def test_one_that_begins_without_having_been_asked_about_upsets_nothing():
    backlog = Backlog(crowd=8, few=2)
    backlog.begins(1.0)
    assert backlog.takes(1.0)
