"""The routine cache in a store that an enemy may write to."""

import json
import marshal
import os
import pickle
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sandbox
from sandbox.cache import RoutineCache, RoutineKey, SecretFile, load_secrets, rotate_secrets
from sandbox.errors import SecretsUnusable

SECRET = b"s" * 32
KEY = RoutineKey(
    protocol_hash="sha256:" + "a" * 64,
    role="sender",
    task_schema_digest="t",
    toolset_schema_digest="n",
    handler_abi=1,
)
OTHER = RoutineKey(
    protocol_hash="sha256:" + "b" * 64, role="sender", task_schema_digest="t", toolset_schema_digest="n", handler_abi=1
)


class Rows(dict[str, Any]):
    """A text store as small as can be; its rows can be anything once an enemy has been there."""

    def put(self, key: str, text: str) -> None:
        self[key] = text

    def add(self, key: str, text: str) -> bool:
        return self.setdefault(key, text) is text

    def delete(self, key: str) -> bool:
        return self.pop(key, None) is not None

    def keys(self, prefix: str = "") -> Iterator[str]:  # type: ignore[override]
        return iter(sorted(key for key in self if key.startswith(prefix)))


class Time:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def cache(rows: Rows) -> RoutineCache:
    return RoutineCache(rows, SECRET, now=Time())


def place_of(rows: Rows, key: RoutineKey) -> str:
    return next(place for place in rows if key.digest() in place)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_what_is_put_is_got(text: str) -> None:
    cache = RoutineCache(Rows(), SECRET, now=Time())
    cache.put(KEY, text)
    assert cache.get(KEY) == text
    assert cache.get(OTHER) is None


@pytest.mark.parametrize(
    "part", ["protocol_hash", "role", "task_schema_digest", "toolset_schema_digest", "handler_abi"]
)
def test_every_part_of_the_key_counts(part: str) -> None:
    parts = {name: getattr(KEY, name) for name in KEY.__slots__}
    parts[part] = 2 if part == "handler_abi" else "x"
    assert RoutineKey(**parts).digest() != KEY.digest()


def test_rows_are_text_and_nothing_else(cache: RoutineCache, rows: Rows) -> None:
    cache.put(KEY, "text")
    cache.refuse(OTHER, "no", seconds=1)
    assert all(type(value) is str for value in rows.values())


def test_a_routine_can_be_forgotten(cache: RoutineCache) -> None:
    cache.put(KEY, "text")
    assert cache.delete(KEY)
    assert not cache.delete(KEY)
    assert cache.get(KEY) is None


def test_entries_are_listed_without_the_planted_ones(cache: RoutineCache, rows: Rows) -> None:
    cache.put(KEY, "one")
    cache.put(OTHER, "two")
    rows["routine/planted"] = "x"
    rows["routine/" + "0" * 64] = rows[place_of(rows, KEY)]
    assert sorted(cache.values()) == ["one", "two"]
    assert {entry.key for entry in cache.entries()} == {KEY, OTHER}


class Planted:
    ran = False

    def __reduce__(self) -> Any:
        return (setattr, (Planted, "ran", True))


ROWS: dict[str, Any] = {
    "nothing": "",
    "a pickle as text": pickle.dumps(Planted()).decode("latin-1"),
    "a pickle as bytes": pickle.dumps(Planted()),
    "an object": Planted(),
    "marshal": marshal.dumps(compile("1", "x", "eval")),
    "a number": 7,
    "JSON without a MAC": json.dumps({"v": 1, "text": "x"}),
    "an empty MAC": '\n{"v":1}',
    "a MAC that is not ASCII": "é" * 64 + '\n{"v":1}',
    "a thousand brackets": "0" * 64 + "\n" + "[" * 100_000,
    "half a surrogate pair": "0" * 64 + "\n\ud800",
    "a gigabyte's worth": "x" * (7 * 1024 * 1024),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_planted_row_is_a_miss_and_nothing_runs(cache: RoutineCache, rows: Rows, row: Any) -> None:
    cache.put(KEY, "text")
    rows[place_of(rows, KEY)] = row
    assert cache.get(KEY) is None
    assert cache.entries() == []
    assert Planted.ran is False


@given(st.data())
def test_a_row_with_any_change_is_a_miss(data: st.DataObject) -> None:
    rows = Rows()
    cache = RoutineCache(rows, SECRET, now=Time())
    cache.put(KEY, "def handle(data):\n    return 1")
    place = place_of(rows, KEY)
    row = rows[place]
    at = data.draw(st.integers(0, len(row) - 1))
    kind = data.draw(st.sampled_from(["change", "cut", "insert", "drop"]))
    new = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda c: c != row[at]))
    rows[place] = {
        "change": row[:at] + new + row[at + 1 :],
        "cut": row[:at],
        "insert": row[:at] + new + row[at:],
        "drop": row[:at] + row[at + 1 :],
    }[kind]
    if rows[place] != row:
        assert cache.get(KEY) is None


def test_a_genuine_row_under_another_key_is_a_miss(cache: RoutineCache, rows: Rows) -> None:
    cache.put(KEY, "one")
    cache.put(OTHER, "two")
    rows[place_of(rows, OTHER)] = rows[place_of(rows, KEY)]
    assert cache.get(OTHER) is None
    assert cache.get(KEY) == "one"


def test_a_genuine_refusal_is_no_routine(cache: RoutineCache, rows: Rows) -> None:
    cache.put(KEY, "one")
    cache.refuse(KEY, "bad", seconds=10)
    refusal = next(row for place, row in rows.items() if place.startswith("refused/"))
    rows[place_of(rows, KEY)] = refusal
    assert cache.get(KEY) is None


def test_another_installations_rows_are_misses(rows: Rows) -> None:
    RoutineCache(rows, b"t" * 32, now=Time()).put(KEY, "theirs")
    assert RoutineCache(rows, SECRET, now=Time()).get(KEY) is None


def test_rows_signed_with_the_secret_before_are_read_and_new_ones_use_the_new(rows: Rows) -> None:
    RoutineCache(rows, SECRET, now=Time()).put(KEY, "old")
    both = RoutineCache(rows, [b"n" * 32, SECRET], now=Time())
    assert both.get(KEY) == "old"
    both.put(OTHER, "new")
    only_new = RoutineCache(rows, [b"n" * 32], now=Time())
    assert only_new.get(KEY) is None
    assert only_new.get(OTHER) == "new"


@pytest.mark.parametrize("secrets", [[], b"", b"short", [SECRET, b"short"]])
def test_a_missing_or_short_secret_is_refused(rows: Rows, secrets: Any) -> None:
    with pytest.raises(ValueError):
        RoutineCache(rows, secrets, now=Time())


def test_a_refusal_holds_until_it_expires(rows: Rows) -> None:
    time = Time()
    cache = RoutineCache(rows, SECRET, now=time)
    assert cache.refusal(KEY) is None
    cache.refuse(KEY, "import os" + "x" * 1000, seconds=60)
    reason = cache.refusal(KEY)
    assert reason is not None
    assert reason.startswith("import os")
    assert len(reason) == 300
    assert cache.refusal(OTHER) is None
    time.seconds += 59.9
    assert cache.refusal(KEY) is not None
    time.seconds += 0.1
    assert cache.refusal(KEY) is None


def test_a_kept_routine_ends_its_refusal(cache: RoutineCache) -> None:
    cache.refuse(KEY, "no", seconds=60)
    cache.put(KEY, "text")
    assert cache.refusal(KEY) is None


def test_refusals_are_bounded_and_those_that_hold_longest_stay(rows: Rows) -> None:
    time = Time()
    cache = RoutineCache(rows, SECRET, now=time, max_entries=10)
    keys = [replace(KEY, role=str(number)) for number in range(30)]
    for number, key in enumerate(keys[:10]):
        cache.refuse(key, "no", seconds=10 if number < 4 else 100 + number)
    cache.refuse(keys[9], "no, again", seconds=500)
    assert len(rows) == 10
    time.seconds += 20
    cache.refuse(keys[10], "no", seconds=1000)
    assert len(rows) == 7, "what has expired is forgotten first"
    for key in keys[11:]:
        cache.refuse(key, "no", seconds=1000)
        assert len(rows) <= 10
        assert cache.refusal(key) is not None
    assert cache.refusal(keys[4]) is None, "it would have expired next"


def test_a_planted_refusal_is_ignored(cache: RoutineCache, rows: Rows) -> None:
    cache.refuse(OTHER, "no", seconds=60)
    rows["refused/" + KEY.digest()] = next(iter(rows.values()))
    assert cache.refusal(KEY) is None


def test_bounds_are_refused_with_a_type_of_their_own(rows: Rows) -> None:
    cache = RoutineCache(rows, SECRET, now=Time(), max_entries=1, max_text_bytes=10)
    with pytest.raises(sandbox.RoutineRefused, match="10 bytes"):
        cache.put(KEY, "é" * 6)
    with pytest.raises(sandbox.RoutineRefused, match="surrogate"):
        cache.put(KEY, "\ud800")
    cache.put(KEY, "one")
    cache.put(KEY, "again")
    with pytest.raises(sandbox.RoutineRefused, match="at most 1"):
        cache.put(OTHER, "two")
    assert cache.get(KEY) == "again"


def test_a_secret_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret"
    first = load_secrets(path)
    assert len(first) == 1
    assert len(first[0]) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_secrets(path) == first
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_rotation_puts_a_new_secret_first_and_keeps_two(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    history = [load_secrets(path)[0]]
    for _ in range(4):
        secrets = rotate_secrets(path)
        history.insert(0, secrets[0])
        assert secrets == history[:3]
    assert len(set(history)) == 5


def test_an_open_linked_or_broken_secret_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    load_secrets(path)
    path.chmod(0o644)
    with pytest.raises(SecretsUnusable, match="chmod 600"):
        load_secrets(path)
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(SecretsUnusable):
        load_secrets(link)
    for content in ("", "zz", "00ff", "\xff" * 64):
        path.write_bytes(content.encode("latin-1"))
        with pytest.raises(SecretsUnusable, match="made anew"):
            load_secrets(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SecretsUnusable, match="regular"):
        load_secrets(tmp_path / "pipe")


def test_a_secret_file_where_others_could_replace_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "open" / "secret"
    load_secrets(path)
    path.parent.chmod(0o777)
    with pytest.raises(SecretsUnusable, match="replace"):
        load_secrets(path)
    path.parent.chmod(0o1777)
    assert load_secrets(path)


def test_a_rotation_reaches_those_that_are_running(rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    running, other = (RoutineCache(rows, SecretFile(path), now=Time()) for _ in range(2))
    running.put(KEY, "before")
    rotate_secrets(path)
    assert running.get(KEY) == other.get(KEY) == "before", "what older secrets signed is read until it is written anew"
    other.put(OTHER, "after")
    assert running.get(OTHER) == "after"
    newest = RoutineCache(rows, load_secrets(path)[:1], now=Time())
    assert newest.get(KEY) is None
    assert newest.get(OTHER) == "after"
    running.put(KEY, "written anew")
    assert newest.get(KEY) == "written anew"


def test_what_was_never_written_anew_is_a_miss_after_three_rotations(rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    cache = RoutineCache(rows, SecretFile(path), now=Time())
    cache.put(KEY, "old")
    for kept in (True, True, False):
        rotate_secrets(path)
        assert (cache.get(KEY) is not None) is kept


def test_a_rotation_in_distrust_makes_every_row_a_miss_at_once(rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    cache = RoutineCache(rows, SecretFile(path), now=Time())
    cache.put(KEY, "old")
    cache.refuse(OTHER, "no", seconds=60)
    assert len(rotate_secrets(path, distrust=True)) == 1
    assert cache.get(KEY) is None
    assert cache.entries() == []
    assert cache.refusal(OTHER) is None
    path.write_text("nonsense")
    path.chmod(0o644)
    assert len(rotate_secrets(path, distrust=True)) == 1, "a spoilt file is replaced"
    cache.put(KEY, "new")
    assert cache.get(KEY) == "new"


@pytest.mark.parametrize("spoil", ["open", "gone", "link", "nonsense"])
def test_without_usable_secrets_every_row_is_a_miss_and_nothing_is_kept(rows: Rows, tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "secret"
    cache = RoutineCache(rows, SecretFile(path), now=Time())
    cache.put(KEY, "text")
    content = path.read_bytes()
    match spoil:
        case "open":
            path.chmod(0o644)
        case "gone":
            path.unlink()
        case "link":
            path.rename(tmp_path / "real")
            path.symlink_to("real")
        case _:
            path.write_text("nonsense")
    assert cache.get(KEY) is None
    assert cache.values() == []
    for write in (lambda: cache.put(OTHER, "x"), lambda: cache.refuse(OTHER, "x", seconds=1)):
        with pytest.raises(SecretsUnusable):
            write()
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    assert cache.get(KEY) == "text", "it is looked at again"
