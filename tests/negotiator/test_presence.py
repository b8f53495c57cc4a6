"""Which processes live, as others can see it."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from negotiator.presence import Presence
from negotiator.testing import VirtualClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks")

LIVES = """
    import sys
    from pathlib import Path
    from negotiator.clock import SystemClock
    from negotiator.presence import Presence
    presence = Presence(Path(sys.argv[1]), SystemClock())
    print(presence.name(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def presence(tmp_path: Path) -> Presence:
    return Presence(tmp_path / "alive", VirtualClock())


def another(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(LIVES), str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_process_is_there_until_it_ends_however_it_ends(presence: Presence, tmp_path: Path) -> None:
    with another(tmp_path / "alive") as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not presence.gone(name)
        process.kill()
        process.wait()
        assert presence.gone(name)
    assert not presence.gone(presence.name())


def test_what_is_no_name_or_left_no_sign_is_not_said_to_be_gone(presence: Presence) -> None:
    for name in (None, 7, "", "../secret", "0" * 32, "0" * 31, ["0" * 32]):
        assert not presence.gone(name)


def test_a_sign_is_kept_for_a_day_after_its_process_was_found_ended(tmp_path: Path) -> None:
    folder, clock = tmp_path / "alive", VirtualClock()
    with another(folder) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        process.kill()
    for seconds in (0, 80_000):
        clock.advance(seconds)
        assert Presence(folder, clock).name() is not None
        assert Presence(folder, clock).gone(name)
    clock.advance(10_000)
    last = Presence(folder, clock)
    assert last.name() is not None
    assert not (folder / name).exists()
    assert (folder / str(last.name())).exists()


FORKS = """
    import os, sys
    from pathlib import Path
    from negotiator.clock import SystemClock
    from negotiator.presence import Presence
    presence = Presence(Path(sys.argv[1]), SystemClock())
    mine = presence.name()
    child = os.fork()
    if child == 0:
        print("child", presence.name() != mine, not presence.gone(mine), presence.name(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print("parent", presence.name() == mine, not presence.gone(mine), mine, flush=True)
"""


def test_a_child_has_a_sign_of_its_own_which_ends_with_it(presence: Presence, tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FORKS), str(tmp_path / "alive")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said[:3] + said[4:7] == ["child", "True", "True", "parent", "True", "True"]
    assert presence.gone(said[3])
    assert presence.gone(said[7])


def test_where_no_sign_can_be_given_there_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "alive").write_text("a file")
    assert Presence(tmp_path / "alive", VirtualClock()).name() is None
