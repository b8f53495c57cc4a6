"""A store is kept where nobody else can reach it, or put another in its place."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from protocol_docs import DiskTextStore, StoreUnusable
from protocol_docs.private_place import claim_directory

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners and modes here")


def owned_by(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Let these look as if another user had made them; only the system's own user can really do that."""
    found, uid = Path.lstat, os.geteuid() + 1

    def lstat(path: Path) -> Any:
        result = found(path)
        if path in paths:
            return os.stat_result((*result[:4], uid, *result[5:10]))
        return result

    monkeypatch.setattr(Path, "lstat", lstat)


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o702])
def test_a_directory_that_others_may_write_to_is_refused_on_the_way(tmp_path: Path, mode: int) -> None:
    above = tmp_path / "above"
    (above / "between").mkdir(parents=True)
    above.chmod(mode)
    with pytest.raises(StoreUnusable, match=f"chmod go-w {above}"):
        claim_directory(above / "between" / "store")
    above.chmod(0o755)
    claim_directory(above / "between" / "store")


def test_a_directory_like_tmp_is_no_danger(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o1777)
    claim_directory(above / "store")


def test_a_directory_that_a_group_may_write_to_is_refused_unless_the_group_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import grp
    import pwd

    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o775)
    group = above.stat().st_gid
    name = pwd.getpwuid(os.geteuid()).pw_name

    def known(members: list[str], primary: int) -> None:
        monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((name, "x", gid, members)))
        monkeypatch.setattr(
            pwd, "getpwuid", lambda uid: pwd.struct_passwd((name, "x", uid, primary, "", "/", "/bin/sh"))
        )

    for members, primary in (([name, "another"], group), ([], group + 1)):
        known(members, primary)
        with pytest.raises(StoreUnusable, match="chmod go-w"):
            claim_directory(above / "store")
    known([name], group)
    claim_directory(above / "store")


def test_a_directory_of_another_user_on_the_way_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    above = tmp_path / "above"
    above.mkdir()
    owned_by(monkeypatch, above)
    with pytest.raises(StoreUnusable, match="another user"):
        claim_directory(above / "store")


def test_symbolic_links_on_the_way_are_followed_and_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open" / "real").mkdir(parents=True)
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to(tmp_path / "open" / "real")
    claim_directory(tmp_path / "one" / "store")
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(StoreUnusable, match="open"):
        claim_directory(tmp_path / "one" / "store")
    (tmp_path / "open").chmod(0o755)
    owned_by(monkeypatch, tmp_path / "two")
    with pytest.raises(StoreUnusable, match="two"):
        claim_directory(tmp_path / "one" / "store")


@pytest.mark.parametrize("name", ["cache.db", "cache.db-wal", "cache.db-shm", "cache.db-journal", "any"])
def test_a_database_that_is_a_symbolic_link_is_refused_and_not_written_through(tmp_path: Path, name: str) -> None:
    pytest.importorskip("diskcache")
    elsewhere = tmp_path / "elsewhere"
    with DiskTextStore(tmp_path / "other") as other:
        other.put("key", "theirs")
    (tmp_path / "other" / "cache.db").rename(elsewhere)
    before = elsewhere.read_bytes()
    (tmp_path / "store").mkdir(mode=0o700)
    (tmp_path / "store" / name).symlink_to(elsewhere)
    with pytest.raises(StoreUnusable, match="symbolic link"):
        DiskTextStore(tmp_path / "store")
    assert elsewhere.read_bytes() == before


def test_a_database_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("diskcache")
    DiskTextStore(tmp_path / "store").close()
    owned_by(monkeypatch, tmp_path / "store" / "cache.db")
    with pytest.raises(StoreUnusable, match="another user"):
        DiskTextStore(tmp_path / "store")


def test_the_files_of_a_store_are_closed_to_others_new_or_old(tmp_path: Path) -> None:
    pytest.importorskip("diskcache")
    for _ in range(2):
        with DiskTextStore(tmp_path / "store") as store:
            store.put("key", "text")
            modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "store").iterdir()}
        assert modes
        assert set(modes.values()) == {0o600}, modes
        (tmp_path / "store" / "cache.db").chmod(0o666)


# What stands in a row.


@pytest.fixture
def planted(tmp_path: Path) -> Any:
    pytest.importorskip("diskcache")
    with DiskTextStore(tmp_path / "store") as store:
        store.put("a/key", "text")
        store.put("a/other", "text")

    def plant(statement: str, *values: object) -> DiskTextStore:
        with sqlite3.connect(tmp_path / "store" / "cache.db") as database:
            database.execute(statement, values)
        database.close()
        return DiskTextStore(tmp_path / "store", max_text_bytes=100_000)

    return plant


@pytest.mark.parametrize("value", ["zeroblob(500000)", "CAST(zeroblob(500000) AS TEXT)", "printf('%.*c', 500000, 'x')"])
def test_a_value_that_is_too_long_is_absent_unread_and_can_be_replaced(planted: Any, value: str) -> None:
    with planted(f"UPDATE Cache SET value = {value} WHERE key = 'a/key'") as store:  # noqa: S608
        assert store.get("a/key") is None
        assert store.get("a/other") == "text"
        assert store.add("a/key", "new")
        assert store.get("a/key") == "new"


def test_the_database_refuses_to_make_a_gigabyte_in_memory(planted: Any) -> None:
    with planted("SELECT 1") as store:
        assert store._cache._con.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) < 200_000
        with pytest.raises(sqlite3.DataError, match="too big"):
            store._cache._sql("SELECT zeroblob(1000000000)").fetchall()


def test_a_key_that_is_too_long_does_not_hide_the_others(planted: Any) -> None:
    with planted("INSERT INTO Cache (key, raw, mode, value) VALUES ('a/' || printf('%.*c', 5000, 'x'), 1, 1, '')") as s:
        assert list(s.keys("a/")) == ["a/key", "a/other"]


def test_a_text_that_is_too_long_is_refused_with_a_type_of_its_own(planted: Any) -> None:
    from protocol_docs import StoreFull

    with planted("SELECT 1") as store:
        with pytest.raises(StoreFull, match="one text"):
            store.put("a/key", "x" * 100_001)
        assert store.get("a/key") == "text"


@pytest.mark.parametrize("damage", ["garbage", "cut", "cut to nothing", "another file", "gone"])
def test_a_database_that_is_spoilt_while_it_is_open_ends_in_a_typed_error_or_an_absence(
    tmp_path: Path, damage: str
) -> None:
    pytest.importorskip("diskcache")
    database = tmp_path / "store" / "cache.db"
    with DiskTextStore(tmp_path / "store") as store:
        for number in range(200):
            store.put(f"key/{number}", f"text {number} " * 50)
        store._cache._sql("PRAGMA wal_checkpoint(TRUNCATE)")
        match damage:
            case "garbage":
                size = database.stat().st_size
                with database.open("r+b") as file:
                    file.write(b"\xa5" * size)
            case "cut":
                os.truncate(database, 4096)
            case "cut to nothing":
                os.truncate(database, 0)
            case "another file":
                (tmp_path / "new").write_bytes(b"garbage" * 1000)
                (tmp_path / "new").rename(database)
            case _:
                database.unlink()
        for number in range(200):
            try:
                found = store.get(f"key/{number}")
            except StoreUnusable:
                continue
            assert found in (None, f"text {number} " * 50)
