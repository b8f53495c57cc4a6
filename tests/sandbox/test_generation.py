"""Whether a shared cache has changed, told without reading it."""

import os
import subprocess
import sys
import textwrap
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from protocol_docs import MemoryTextStore
from sandbox.cache import FileGeneration, RoutineCache, RoutineKey
from sandbox.errors import RoutineRefused
from sandbox.generation import OwnGeneration

KEY = RoutineKey(protocol_hash="h", role="sender", task_schema_digest="t", toolset_schema_digest="n", handler_abi=1)


def test_it_stays_until_somebody_changes_something_and_never_comes_back(tmp_path: Path) -> None:
    one, other = FileGeneration(tmp_path / "g"), FileGeneration(tmp_path / "g")
    seen = [one.now()]
    assert seen[0] is not None
    assert other.now() == one.now() == seen[0]
    for writer in (one, other, one):
        with writer.changing():
            assert one.now() is None, "while something changes nobody can tell"
            assert other.now() is None
        assert one.now() == other.now()
        seen.append(one.now())
    assert None not in seen
    assert len(set(seen)) == 4


def test_changes_that_overlap_are_each_seen(tmp_path: Path) -> None:
    one, other = FileGeneration(tmp_path / "g"), FileGeneration(tmp_path / "g")
    for first_out in (0, 1):
        before = one.now()
        changes: list[AbstractContextManager[None]] = [one.changing(), other.changing()]
        for change in changes:
            change.__enter__()
        changes[first_out].__exit__(None, None, None)
        between = one.now()
        assert between is None or between != before
        changes[1 - first_out].__exit__(None, None, None)
        after = one.now()
        assert after is not None
        assert after not in (before, between), "what was read between the two ends may be old"


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from sandbox.cache import FileGeneration
    with FileGeneration(Path(sys.argv[1])).changing():
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_dies_in_the_middle_leaves_nobody_in_false_certainty(tmp_path: Path) -> None:
    generation = FileGeneration(tmp_path / "g")
    assert generation.now() is not None
    subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "g")], check=False)
    assert generation.now() is None
    with generation.changing():
        pass
    assert generation.now() is not None


def test_a_change_that_fails_is_over(tmp_path: Path) -> None:
    generation = FileGeneration(tmp_path / "g")
    with suppress(ZeroDivisionError), generation.changing():
        raise ZeroDivisionError
    assert generation.now() is not None


@pytest.mark.parametrize("content", [b"", b"1234567", b"12345678", b"x" * 100])
def test_a_file_that_was_cut_or_overwritten_is_no_crash_and_one_change_puts_it_right(
    tmp_path: Path, content: bytes
) -> None:
    generation = FileGeneration(tmp_path / "g")
    before = generation.now()
    (tmp_path / "g").write_bytes(content)
    assert generation.now() != before
    with generation.changing():
        pass
    assert generation.now() not in (None, before)


def test_a_link_a_directory_or_a_file_of_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder"):
        with pytest.raises(RoutineRefused):
            FileGeneration(tmp_path / name)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(RoutineRefused, match="this user"):
        FileGeneration(tmp_path / "real")


def test_every_change_of_a_routine_changes_it_and_nothing_else_does(tmp_path: Path) -> None:
    for generation in (OwnGeneration(), FileGeneration(tmp_path / "g")):
        cache = RoutineCache(MemoryTextStore(), b"s" * 32, now=lambda: 0.0, generation=generation)
        seen = [cache.generation.now()]
        cache.get(KEY)
        cache.refuse(KEY, "no", seconds=60)
        cache.entries()
        assert cache.generation.now() == seen[0]
        cache.put(KEY, "text")
        seen.append(cache.generation.now())
        cache.put(KEY, "text")
        seen.append(cache.generation.now())
        cache.delete(KEY)
        seen.append(cache.generation.now())
        assert len(set(seen)) == 4
