"""Identifiers that nobody can guess."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from negotiator import new_ids
from negotiator.new_ids import new_id

MANY = 1000


def test_none_comes_twice_in_whatever_thread() -> None:
    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(lambda _: new_id(), range(MANY)))
    assert len(set(drawn)) == MANY
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{24}", each) for each in drawn)


def test_where_no_process_is_forked_off_there_are_identifiers_too() -> None:
    said = "import os; del os.register_at_fork; from negotiator.new_ids import new_id; print(len(new_id()))"
    ran = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ran.stdout == "24\n"


def test_the_system_is_asked_for_a_block_of_them_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_ids, "_drawn", [])
    asked: list[int] = []
    real = os.urandom
    monkeypatch.setattr(os, "urandom", lambda size: (asked.append(size), real(size))[1])
    for _ in range(640):
        new_id()
    assert len(asked) == 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # this process has threads; the child makes none
def test_whoever_is_forked_off_draws_its_own() -> None:
    new_id()
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reads, 64).decode()
    os.close(reads)
    os.close(writes)
    assert len(told) == 24
    assert told not in {new_id() for _ in range(MANY)}
