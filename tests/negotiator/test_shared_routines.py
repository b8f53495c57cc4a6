"""What one process does to a routine, another of the same state sees at its next use, without reading the store."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from negotiator.mapping import FieldMapping, Mapping
from negotiator.routines import Direction, Routine, Verdict
from negotiator.shelf import RoutineShelf
from negotiator.state import open_state
from negotiator.testing import VirtualClock
from protocol_docs import MemoryTextStore, StoreFull, StoreUnusable
from sandbox.cache import FileGeneration, RoutineCache

ROUTINE = Routine(
    protocol_hash="sha256:" + "0" * 64,
    role="sender",
    kind="mapping",
    key_digest="d",
    into=Direction(mapping=Mapping((FieldMapping(to="/a", source="/b", required=True),))),
    back=Direction(mapping=Mapping()),
    state="serving",
    verdict=Verdict(passed=True, basis="exact"),
)
PLACE: Any = (ROUTINE.protocol_hash, "sender", "d")
OTHER = replace(ROUTINE, key_digest="other")
OTHER_PLACE: Any = (ROUTINE.protocol_hash, "sender", "other")


async def run_nothing(*_: object, **__: object) -> None:
    raise AssertionError("nothing is run here")


class Rows(MemoryTextStore):
    """A store that counts how often it is read and can be made to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.refuses: set[str] = set()

    def get(self, key: str) -> str | None:
        self.read += 1
        if "get" in self.refuses:
            raise StoreUnusable
        return super().get(key)

    def put(self, key: str, text: str) -> None:
        if "put" in self.refuses:
            raise StoreFull
        super().put(key, text)

    def delete(self, key: str) -> bool:
        if "delete" in self.refuses:
            raise StoreUnusable
        return super().delete(key)


class Processes:
    """Shelves over one store, as several processes have them."""

    def __init__(self, folder: Path) -> None:
        self.rows = Rows()
        self._folder = folder

    def shelf(self) -> RoutineShelf:
        generation = FileGeneration(self._folder / "generation")
        cache = RoutineCache(self.rows, b"s" * 32, now=VirtualClock().time, generation=generation)
        return RoutineShelf(cache, run_nothing)


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


@pytest.fixture
def two(processes: Processes) -> tuple[RoutineShelf, RoutineShelf]:
    one, other = processes.shelf(), processes.shelf()
    one.put(ROUTINE)
    one.put(OTHER)
    assert one.serving(*PLACE) is not None
    assert other.serving(*PLACE) is not None
    return one, other


def test_ready_routines_are_looked_up_without_reading_the_store(
    processes: Processes, two: tuple[RoutineShelf, RoutineShelf]
) -> None:
    for shelf in two:
        shelf.serving(*PLACE)
    processes.rows.read = 0
    for shelf in two:
        for _ in range(100):
            assert shelf.serving(*PLACE) is not None
            assert not shelf.wanted(*PLACE)
    assert processes.rows.read == 0


def test_a_demotion_ends_service_in_every_process_at_its_next_use(two: tuple[RoutineShelf, RoutineShelf]) -> None:
    one, other = two
    one.demote(ROUTINE, "it failed")
    assert other.serving(*PLACE) is None
    assert not other.wanted(*PLACE)
    found = other.get(*PLACE)
    assert found is not None
    assert found.routine.verdict.detail == "it failed"


def test_what_is_dropped_is_gone_in_every_process_at_its_next_use(two: tuple[RoutineShelf, RoutineShelf]) -> None:
    one, other = two
    one.drop(ROUTINE)
    assert other.get(*PLACE) is None
    assert other.wanted(*PLACE)


def test_what_one_process_promotes_serves_in_the_other(processes: Processes) -> None:
    one, other = processes.shelf(), processes.shelf()
    one.put(replace(ROUTINE, state="candidate"))
    assert other.serving(*PLACE) is None
    one.put(ROUTINE)
    assert other.serving(*PLACE) is not None


def test_a_change_elsewhere_makes_nothing_ready_anew_that_it_did_not_touch(
    processes: Processes, two: tuple[RoutineShelf, RoutineShelf]
) -> None:
    one, other = two
    before = other.get(*PLACE)
    one.demote(OTHER, "it failed")
    processes.rows.read = 0
    assert other.get(*PLACE) is before
    assert other.get(*PLACE) is before
    assert processes.rows.read == 1


def test_a_demotion_that_the_store_has_no_room_for_leaves_no_serving_row_to_others(
    processes: Processes, two: tuple[RoutineShelf, RoutineShelf]
) -> None:
    one, other = two
    processes.rows.refuses = {"put"}
    one.demote(ROUTINE, "it failed")
    for _ in range(2):
        assert one.serving(*PLACE) is None
        assert other.serving(*PLACE) is None
    found = one.get(*PLACE)
    assert found is not None
    assert found.routine.state == "demoted"


def test_where_nothing_can_be_written_a_demotion_holds_here_at_least(
    processes: Processes, two: tuple[RoutineShelf, RoutineShelf]
) -> None:
    one, _ = two
    processes.rows.refuses = {"put", "delete"}
    one.demote(ROUTINE, "it failed")
    for _ in range(2):
        assert one.serving(*PLACE) is None, "the older row does not bring it back"
    processes.rows.refuses = set()
    one.put(ROUTINE)
    assert one.serving(*PLACE) is not None


def test_what_the_store_has_no_room_for_serves_here_without_reading_the_store(processes: Processes) -> None:
    shelf = processes.shelf()
    processes.rows.refuses = {"put"}
    shelf.put(ROUTINE)
    assert shelf.serving(*PLACE) is not None
    processes.rows.read = 0
    for _ in range(10):
        assert shelf.serving(*PLACE) is not None
    assert processes.rows.read == 0


def test_a_row_that_cannot_be_read_again_is_no_routine_and_no_error(
    processes: Processes, two: tuple[RoutineShelf, RoutineShelf]
) -> None:
    one, other = two
    one.put(OTHER)
    processes.rows.refuses = {"get"}
    assert other.serving(*PLACE) is None
    processes.rows.refuses = set()
    assert other.serving(*PLACE) is not None


def test_a_writer_that_died_half_way_costs_reads_and_misleads_nobody(
    processes: Processes, two: tuple[RoutineShelf, RoutineShelf]
) -> None:
    one, other = two
    dead = processes.shelf()._cache
    change = dead.generation.changing()
    change.__enter__()
    assert other.serving(*PLACE) is not None
    # Its row is written, and it dies before it can say so.
    quiet = RoutineShelf(RoutineCache(processes.rows, b"s" * 32, now=VirtualClock().time), run_nothing)
    quiet.demote(ROUTINE, "it failed")
    assert other.serving(*PLACE) is None
    one.put(OTHER)
    processes.rows.read = 0
    for _ in range(10):
        other.serving(*OTHER_PLACE)
    assert processes.rows.read == 1, "the next change puts it right"


DEMOTES = """
    import sys
    from pathlib import Path
    from negotiator.shelf import RoutineShelf
    from negotiator.state import open_state

    shelf = RoutineShelf(open_state(Path(sys.argv[1])).routine_cache(), None)
    (routine,) = shelf.routines()
    for line in sys.stdin:
        if line == "demote\\n":
            shelf.demote(routine, "it failed")
        elif line == "drop\\n":
            shelf.drop(routine)
        else:
            shelf.put(routine)
        print("done", flush=True)
"""


@pytest.fixture
def another(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    pytest.importorskip("diskcache")
    RoutineShelf(open_state(tmp_path / "state").routine_cache(), run_nothing).put(ROUTINE)
    command = [sys.executable, "-c", textwrap.dedent(DEMOTES), str(tmp_path / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_so_it_is_with_real_processes(tmp_path: Path, another: "subprocess.Popen[str]") -> None:
    shelf = RoutineShelf(open_state(tmp_path / "state").routine_cache(), run_nothing)
    assert another.stdin is not None
    assert another.stdout is not None
    for order, serves in (("demote", False), ("put", True), ("drop", False), ("put", True)) * 5:
        another.stdin.write(f"{order}\n")
        another.stdin.flush()
        assert another.stdout.readline() == "done\n"
        assert (shelf.serving(*PLACE) is not None) is serves, order


class Shelves(RuleBasedStateMachine):
    """Three processes that do as they please agree, look by look, on what serves."""

    @initialize()
    def start(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        processes = Processes(Path(self.folder.name))
        self.shelves = [processes.shelf() for _ in range(3)]
        self.serves: dict[str, bool] = {}

    @rule(who=st.integers(0, 2), digest=st.sampled_from("abc"), state=st.sampled_from(["candidate", "serving"]))
    def put(self, who: int, digest: str, state: Any) -> None:
        self.shelves[who].put(replace(ROUTINE, key_digest=digest, state=state))
        self.serves[digest] = state == "serving"

    @rule(who=st.integers(0, 2), digest=st.sampled_from("abc"))
    def demote(self, who: int, digest: str) -> None:
        self.shelves[who].demote(replace(ROUTINE, key_digest=digest), "it failed")
        self.serves[digest] = False

    @rule(who=st.integers(0, 2), digest=st.sampled_from("abc"))
    def drop(self, who: int, digest: str) -> None:
        self.shelves[who].drop(replace(ROUTINE, key_digest=digest))
        self.serves[digest] = False

    @rule(who=st.integers(0, 2), digest=st.sampled_from("abc"))
    def look(self, who: int, digest: str) -> None:
        found = self.shelves[who].serving(ROUTINE.protocol_hash, "sender", digest)
        assert (found is not None) is self.serves.get(digest, False)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestShelves = Shelves.TestCase
TestShelves.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
