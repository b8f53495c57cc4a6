"""What is made at the first need is made once, from whichever thread, and anew where making it failed."""

import threading

import pytest

from negotiator.late import Late


def test_it_is_made_at_the_first_call_and_once():
    made = []
    late = Late(lambda: made.append(object()) or made[-1])
    assert (late.made, made) == (None, [])
    assert late() is late() is late.made is made[0]
    assert len(made) == 1


def test_threads_that_ask_while_it_is_being_made_get_the_same_thing():
    begun, go_on, made, got = threading.Event(), threading.Event(), [], []

    def make():
        made.append(object())
        begun.set()
        go_on.wait(10)
        return made[-1]

    late = Late(make)
    threads = [threading.Thread(target=lambda: got.append(late())) for _ in range(4)]
    for each in threads:
        each.start()
    begun.wait(10)
    go_on.set()
    for each in threads:
        each.join(10)
    assert len(made) == 1
    assert got == made * 4


def test_what_could_not_be_made_is_tried_again():
    told = iter([OSError("not yet"), "there"])

    def make():
        said = next(told)
        if isinstance(said, Exception):
            raise said
        return said

    late = Late(make)
    with pytest.raises(OSError, match="not yet"):
        late()
    assert late.made is None
    assert late() == "there"
