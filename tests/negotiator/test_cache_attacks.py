"""Routines in a state folder that an enemy has had its hands on: each is a miss, nothing runs, nobody crashes."""

import marshal
import os
import pickle
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from negotiator.jsonvalue import JsonValue
from negotiator.mapping import FieldMapping, Mapping
from negotiator.routines import Direction, Routine, Verdict
from negotiator.shelf import RoutineShelf
from negotiator.state import open_state, rotate_secret
from negotiator.testing import World
from protocol_docs import StoreUnusable
from sandbox import POLICY_VERSION
from tests.negotiator.engine_world import EAGER, EXACT, EXACT_VALUE, SERVER, offer_forecast, oracle

pytest.importorskip("diskcache")

RAN: list[str] = []
"""What was run on the way, in any test here: nothing."""


async def run_source(source: str, *_: object, **__: object) -> JsonValue:
    RAN.append(source)
    return None


def routine(number: int = 0) -> Routine:
    return Routine(
        protocol_hash="sha256:" + str(number) * 64,
        role="sender",
        kind="code",
        key_digest="d",
        into=Direction(mapping=Mapping((FieldMapping(to="/a", source="/b", required=True),)), entry="encode"),
        source="def encode(source):\n    return {}\n",
        state="serving",
        verdict=Verdict(passed=True, basis="examples_and_shadow", shadows=3, sandbox_policy=POLICY_VERSION),
        made_by="scripted",
    )


PLACE: Any = (routine().protocol_hash, "sender", "d")
OTHER: Any = (routine(1).protocol_hash, "sender", "d")


def shelf_in(folder: Path) -> RoutineShelf:
    return RoutineShelf(open_state(folder).routine_cache(), run_source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shelf = shelf_in(tmp_path / "state")
    shelf.put(routine())
    shelf.put(routine(1))
    return tmp_path / "state"


class Touching:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


class Enemy:
    """Whoever can write to the database of a state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "store" / "cache.db"

    def sql(self, statement: str, *values: object) -> list[Any]:
        with sqlite3.connect(self.path) as database:
            found = database.execute(statement, values).fetchall()
        database.close()
        return found

    def row(self, number: int = 0) -> str:
        (found,) = [
            row for (row,) in self.sql("SELECT value FROM Cache WHERE key LIKE 'routine/%'") if str(number) * 64 in row
        ]
        return str(found)

    def key(self, number: int = 0) -> str:
        (found,) = [
            key
            for key, row in self.sql("SELECT key, value FROM Cache WHERE key LIKE 'routine/%'")
            if str(number) * 64 in row
        ]
        return str(found)

    def set(self, **columns: object) -> None:
        """Change the row of routine 0."""
        key = self.key()
        for column, value in columns.items():
            self.sql(f"UPDATE Cache SET {column} = ? WHERE key = ?", value, key)  # noqa: S608
            key = str(value) if column == "key" else key


@pytest.fixture
def enemy(folder: Path) -> Enemy:
    return Enemy(folder)


def assert_miss(folder: Path, witness: Path | None = None) -> None:
    """Routine 0 is not there for a process that starts now, the other is, and a new one can take its place."""
    shelf = shelf_in(folder)
    assert shelf.get(*PLACE) is None
    assert shelf.serving(*PLACE) is None
    assert shelf.wanted(*PLACE)
    assert [each.protocol_hash for each in shelf.routines()] == [OTHER[0]]
    assert shelf.serving(*OTHER) is not None
    assert RAN == []
    assert witness is None or not witness.exists()
    shelf.put(routine())
    assert shelf_in(folder).serving(*PLACE) is not None


def test_without_an_attack_it_is_there(folder: Path) -> None:
    shelf = shelf_in(folder)
    assert shelf.serving(*PLACE) is not None
    assert len(shelf.routines()) == 2


# Rows.


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 4, 5, None])
@pytest.mark.parametrize("where", ["value", "value as text", "file", "key"])
def test_a_pickle_is_never_opened(enemy: Enemy, tmp_path: Path, mode: int | None, where: str) -> None:
    witness = tmp_path / "witness"
    pickled = pickle.dumps(Touching(witness))
    (enemy.folder / "store" / "planted").write_bytes(pickled)
    match where:
        case "value":
            enemy.set(value=pickled, mode=mode)
        case "value as text":
            enemy.set(value=pickled.decode("latin-1"), mode=mode)
        case "file":
            enemy.set(value=None, filename="planted", mode=mode)
        case _:
            enemy.set(raw=0, mode=mode)
            enemy.sql("UPDATE Cache SET key = ? WHERE raw = 0", pickled)
    assert_miss(enemy.folder, witness)


def test_marshalled_code_is_never_loaded(enemy: Enemy, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    code = marshal.dumps(compile(f"open({str(witness)!r}, 'w')", "x", "exec"))
    for value in (code, code.decode("latin-1"), enemy.row()[:65] + code.hex()):
        enemy.set(value=value)
        assert_miss(enemy.folder, witness)


def edited(row: str) -> str:
    return row.replace("return {}", "return 1")


ROWS: dict[str, Callable[[Enemy], object]] = {
    "edited text, old MAC": lambda enemy: edited(enemy.row()),
    "another verdict, old MAC": lambda enemy: enemy.row().replace("shadow_only", "exact").replace("shadows", "misses"),
    "no MAC": lambda enemy: enemy.row()[65:],
    "a MAC of zeros": lambda enemy: "0" * 64 + enemy.row()[64:],
    "the right MAC under another key": lambda enemy: enemy.row(1),
    "cut short": lambda enemy: enemy.row()[:-1],
    "cut in the middle": lambda enemy: enemy.row()[: len(enemy.row()) // 2],
    "cut to the MAC": lambda enemy: enemy.row()[:64],
    "nothing": lambda _: "",
    "null": lambda _: None,
    "a number": lambda _: 7,
    "bytes": lambda enemy: enemy.row().encode(),
    "bytes that are no text": lambda _: b"\xff\xfe" * 100,
    "a zero byte": lambda enemy: enemy.row() + "\0",
    "too long a text": lambda _: "x" * 7_000_000,
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_that_we_did_not_write_there_is_a_miss(enemy: Enemy, name: str) -> None:
    before = enemy.row()
    value = ROWS[name](enemy)
    assert value != before
    enemy.set(value=value)
    assert_miss(enemy.folder)


def test_a_row_moved_to_another_key_is_a_miss(enemy: Enemy) -> None:
    key, other = enemy.key(), enemy.key(1)
    enemy.sql("UPDATE Cache SET key = 'x' WHERE key = ?", key)
    enemy.sql("UPDATE Cache SET key = ? WHERE key = ?", key, other)
    enemy.sql("UPDATE Cache SET key = ? WHERE key = 'x'", other)
    shelf = shelf_in(enemy.folder)
    assert shelf.get(*PLACE) is shelf.get(*OTHER) is None
    assert shelf.routines() == []


def test_a_gigabyte_is_a_miss_that_is_not_read(enemy: Enemy) -> None:
    # What is longer than any row of ours is refused by the database before it is read; so would a gigabyte be.
    enemy.sql("UPDATE Cache SET value = zeroblob(34000000) WHERE key = ?", enemy.key())
    state = open_state(enemy.folder)
    longest = state.text._cache._con.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)  # type: ignore[attr-defined]
    assert longest < 34_000_000
    assert_miss(enemy.folder)


def test_a_routine_of_an_older_sandbox_policy_does_not_serve_and_is_not_made_anew(folder: Path) -> None:
    old = replace(routine(), verdict=replace(routine().verdict, sandbox_policy="0"))
    shelf_in(folder).put(old)
    shelf = shelf_in(folder)
    found = shelf.get(*PLACE)
    assert found is not None
    assert found.routine.state == "candidate"
    assert found.routine.source == old.source
    assert shelf.serving(*PLACE) is None
    assert not shelf.wanted(*PLACE), "it is verified again, and no model is asked to write it again"


def test_an_older_genuine_row_is_all_that_an_enemy_can_bring_back(folder: Path, enemy: Enemy) -> None:
    """What a MAC cannot tell: a row of ours from before. Where a routine was demoted since, it would serve again."""
    before = enemy.row()
    shelf = shelf_in(folder)
    shelf.demote(routine(), "it failed")
    enemy.set(value=before)
    assert shelf_in(folder).serving(*PLACE) is not None


# Files and folders.


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o755, 0o750, 0o701])
def test_a_store_that_others_can_reach_is_refused(folder: Path, mode: int) -> None:
    (folder / "store").chmod(mode)
    with pytest.raises(StoreUnusable, match="chmod 700"):
        open_state(folder)


def test_a_state_folder_that_others_can_write_to_is_refused(folder: Path) -> None:
    folder.chmod(0o757)
    with pytest.raises(StoreUnusable, match="chmod go-w"):
        open_state(folder)


@pytest.mark.parametrize("name", ["store", "store/cache.db", "secret", "generation"])
def test_symbolic_links_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    path = folder / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnusable):
        open_state(folder)


def test_a_secret_that_others_can_read_is_refused(folder: Path) -> None:
    (folder / "secret").chmod(0o640)
    with pytest.raises(StoreUnusable, match="chmod 600"):
        open_state(folder)


def test_without_the_secret_every_row_is_a_miss(folder: Path) -> None:
    running = shelf_in(folder)
    assert running.serving(*PLACE) is not None
    (folder / "secret").unlink()
    assert shelf_in(folder).routines() == []
    assert running.routines() == [], "the secret that was made in its place is used at once"


def test_a_rotation_keeps_routines_and_a_rotation_in_distrust_does_not_even_where_they_are_ready(folder: Path) -> None:
    running = shelf_in(folder)
    assert running.serving(*PLACE) is not None
    rotate_secret(folder)
    assert running.serving(*PLACE) is not None
    assert shelf_in(folder).serving(*PLACE) is not None
    rotate_secret(folder, distrust=True)
    assert running.serving(*PLACE) is None
    assert shelf_in(folder).serving(*PLACE) is None
    running.put(routine())
    assert shelf_in(folder).serving(*PLACE) is not None


def spoil(folder: Path, how: str) -> None:
    database = folder / "store" / "cache.db"
    match how:
        case "garbage":
            with database.open("r+b") as file:
                file.write(b"\xa5" * database.stat().st_size)
        case "nothing":
            os.truncate(database, 0)
        case "another file":
            (folder / "new").write_bytes(b"garbage" * 1000)
            (folder / "new").rename(database)
        case _:
            database.unlink()


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["garbage", "nothing", "another file", "gone"])
async def test_requests_are_answered_though_the_database_is_spoilt_under_them(
    world: World, tmp_path: Path, how: str
) -> None:
    calls = offer_forecast(world.agent("server", publish="all"))
    caller = world.agent("caller", oracle(), state=tmp_path / "state", cost_policy=EAGER)
    assert (await caller.ask(SERVER, EXACT, EXACT_VALUE)).tier == "routine"
    caller.engine.text._cache._sql("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[attr-defined]
    spoil(tmp_path / "state", how)
    warm = await caller.ask(SERVER, EXACT, EXACT_VALUE)
    assert warm.tier == "routine", "nothing says that what is ready no longer stands"
    with caller.engine.routines._cache.generation.changing():
        pass
    after = await caller.ask(SERVER, EXACT, EXACT_VALUE)
    assert after.json == warm.json
    await world.settle()
    assert len(calls) == 3


# Several processes.


WRITES = """
    import sys
    from pathlib import Path
    from negotiator.state import open_state
    from sandbox.cache import RoutineKey
    folder, who = sys.argv[1:]
    cache = open_state(Path(folder)).routine_cache()
    key = RoutineKey(protocol_hash="h", role="r", task_schema_digest="t", toolset_schema_digest="n", handler_abi=1)
    print("ready", flush=True)
    number = 0
    while who == "x" or number < 60:
        cache.put(key, f"{who} {number} " * 3000)
        text = cache.get(key)
        assert text is not None and len(set(zip(text.split()[::2], text.split()[1::2]))) == 1, "half a text"
        number += 1
    print("done")
"""


def writer(folder: Path, who: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITES), str(folder), who],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_that_write_one_row_at_once_leave_and_read_whole_texts(folder: Path) -> None:
    crew = [writer(folder, str(number)) for number in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in crew]
    assert outputs == ["ready\ndone\n"] * 3
    assert {each[:1] for each in open_state(folder).routine_cache().values() if not each.startswith("{")} <= set("012")


def test_a_process_killed_while_it_writes_leaves_the_old_text_or_the_new(folder: Path) -> None:
    state = open_state(folder)
    cache = state.routine_cache()
    for _ in range(3):
        with writer(folder, "x") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            seen = state.generation.now() if state.generation else None
            while state.generation is not None and state.generation.now() in (seen, None):
                pass
            process.kill()
        (text,) = [text for text in cache.values() if not text.startswith("{")]
        assert len(text.split()) == 6000
        assert len(set(text.split()[1::2])) == 1
        assert shelf_in(folder).serving(*PLACE) is not None
