"""Who has how much of what is kept, and who gives something up."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from negotiator.room import Room

AT_MOST, TOTAL = 6, 60
STEPS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["anonymous", "p", "q"]), st.integers(0, 40) | st.none()),
    max_size=40,
)


@given(STEPS)
def test_nobody_has_more_than_half_and_all_together_no_more_than_all(steps: list[tuple[str, str, int | None]]) -> None:
    room, rows = Room(AT_MOST, TOTAL), dict[str, tuple[str, int]]()
    for name, whose, size in steps:
        principal = rows.get(name, (whose, 0))[0]
        if size is None:
            room.drop(name)
            rows.pop(name, None)
        else:
            giving = room.short(name, principal, size)
            with_it = {**rows, name: (principal, size)}
            count, held = Counter(who for who, _ in with_it.values()), Counter[str]()
            for who, taken in with_it.values():
                held[who] += taken
            own = count[principal] > AT_MOST // 2 or held[principal] > TOTAL // 2
            full = len(with_it) > AT_MOST or held.total() > TOTAL
            assert (giving is None) == (not own and not full)
            if own:
                assert giving == principal
            elif full:
                before = Counter[str]()
                for who, taken in rows.values():
                    before[who] += taken
                assert giving is not None
                assert before[giving] == max(before.values())
            else:
                room.set(name, principal, size)
                rows = with_it
        assert len(room) == len(rows)


def test_one_row_fits_however_small_the_room() -> None:
    room = Room(1, 100)
    assert room.short("a", "p", 50) is None
    room.set("a", "p", 50)
    assert room.short("b", "p", 1) == room.short("b", "q", 1) == "p"
    room.clear()
    assert room.short("b", "q", 1) is None
