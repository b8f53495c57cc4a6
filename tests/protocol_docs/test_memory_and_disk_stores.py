import os
import sqlite3
import subprocess
import sys
import textwrap
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol_docs import DiskExtraMissing, DiskTextStore, MemoryTextStore, StoreFull, StoreUnusable, TextStore
from protocol_docs.conformance import NotConforming, check_text_store

numbers = count()


@pytest.fixture
def directory(tmp_path):
    pytest.importorskip("diskcache")
    return tmp_path / "store"


@pytest.fixture(params=["memory", "disk"])
def make_store(request, tmp_path):
    """Makes an empty store with room for so many bytes."""
    if request.param == "memory":
        yield MemoryTextStore
        return
    pytest.importorskip("diskcache")
    made = []

    def make(max_bytes=2**20):
        made.append(DiskTextStore(tmp_path / str(next(numbers)), max_bytes))
        return made[-1]

    yield make
    for store in made:
        store.close()


def test_the_stores_conform(make_store):
    check_text_store(make_store)
    assert isinstance(make_store(), TextStore)


def test_a_store_that_loses_a_byte_does_not_conform():
    class Trimming(MemoryTextStore):
        def put(self, key, text):
            super().put(key, text.rstrip("\n"))

    with pytest.raises(NotConforming, match="exactly as it was"):
        check_text_store(Trimming)


def test_writing_past_the_bound_raises_store_full_and_evicts_nothing(make_store):
    store = make_store(max_bytes=30)
    store.put("a", "x" * 10)
    store.put("b", "\u00e9" * 5)
    with pytest.raises(StoreFull):
        store.put("c", "x" * 8)
    with pytest.raises(StoreFull):
        store.add("c", "x" * 8)
    with pytest.raises(StoreFull):
        store.put("a", "x" * 19)
    assert {key: store.get(key) for key in list(store.keys())} == {"a": "x" * 10, "b": "\u00e9" * 5}


def test_room_comes_back_with_what_is_deleted_or_made_smaller(make_store):
    store = make_store(max_bytes=20)
    store.put("a", "x" * 19)
    store.put("a", "x" * 9)
    store.put("b", "x" * 9)
    assert store.delete("a")
    store.put("c", "x" * 9)
    assert list(store.keys()) == ["b", "c"]


@settings(max_examples=15)
@given(
    operations=st.lists(st.tuples(st.sampled_from("pagd"), st.sampled_from("abc"), st.text(max_size=8)), max_size=20)
)
def test_a_disk_store_does_what_a_memory_store_does(tmp_path_factory, operations):
    pytest.importorskip("diskcache")
    memory = MemoryTextStore(max_bytes=24)
    with DiskTextStore(tmp_path_factory.mktemp("store") / "s", max_bytes=24) as disk:
        for operation, key, text in operations:
            assert run(memory, operation, key, text) == run(disk, operation, key, text)
        assert list(memory.keys()) == list(disk.keys())


def run(store, operation, key, text):
    try:
        if operation == "p":
            return store.put(key, text)
        if operation == "a":
            return store.add(key, text)
        return store.get(key) if operation == "g" else store.delete(key)
    except StoreFull:
        return StoreFull


def test_what_is_no_text_cannot_be_stored(directory):
    with DiskTextStore(directory) as store:
        for value in (b"bytes", 5, None, ["list"], object()):
            with pytest.raises((TypeError, AttributeError)):
                store.put("key", value)
        assert list(store.keys()) == []


def test_the_directory_is_made_for_its_owner_alone_and_holds_no_side_files(directory):
    with DiskTextStore(directory) as store:
        store.put("large", "x" * 1_000_000)
        assert directory.stat().st_mode & 0o777 == 0o700
        assert {path.name for path in directory.iterdir()} <= {"cache.db", "cache.db-wal", "cache.db-shm"}


def test_a_store_is_there_again_when_it_is_opened_again(directory):
    with DiskTextStore(directory) as store:
        store.put("key", "text\r\n")
    with DiskTextStore(directory) as store:
        assert store.get("key") == "text\r\n"


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o777])
def test_a_directory_that_others_can_reach_is_refused(directory, mode):
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(StoreUnusable, match="chmod 700"):
        DiskTextStore(directory)


def test_a_symbolic_link_is_refused(directory, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    directory.symlink_to(tmp_path / "real")
    with pytest.raises(StoreUnusable, match="symbolic link"):
        DiskTextStore(directory)
    assert list((tmp_path / "real").iterdir()) == []


def test_a_file_in_the_place_of_the_directory_is_refused(directory):
    directory.write_text("")
    with pytest.raises(StoreUnusable):
        DiskTextStore(directory)
    with pytest.raises(StoreUnusable):
        DiskTextStore(directory / "below")


def test_a_directory_of_another_user_is_refused(directory, monkeypatch):
    directory.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: directory.stat().st_uid + 1)
    with pytest.raises(StoreUnusable, match="another user"):
        DiskTextStore(directory)


def test_a_path_that_diskcache_would_expand_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("diskcache")
    monkeypatch.setenv("ELSEWHERE", "/tmp")
    with pytest.raises(StoreUnusable, match="expand"):
        DiskTextStore(tmp_path / "$ELSEWHERE")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_unusable(directory, content):
    directory.mkdir(mode=0o700)
    (directory / "cache.db").write_bytes(content)
    with pytest.raises(StoreUnusable):
        DiskTextStore(directory)


@pytest.mark.parametrize("setting", ["disk_nothing", "get", "size", "eviction_policy", "sqlite_nothing", "disk_fetch"])
def test_settings_that_somebody_wrote_into_the_database_run_nothing(directory, setting):
    with DiskTextStore(directory) as store:
        store.put("key", "text")
    with sqlite3.connect(directory / "cache.db") as database:
        database.execute("INSERT OR REPLACE INTO Settings VALUES (?, ?)", (setting, "os.abort"))
    database.close()
    try:
        with DiskTextStore(directory) as store:
            assert store.get("key") == "text"
            store.put("key", "text")
    except StoreUnusable:
        pass


def test_without_diskcache_the_error_holds_the_words_that_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diskcache", None)
    with pytest.raises(DiskExtraMissing, match=r'pip install "metaparley\[disk\]"'):
        DiskTextStore(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_full_disk_is_store_full_and_what_was_there_stays(directory):
    with DiskTextStore(directory) as store:
        store.put("key", "text")
        ((pages,),) = store._cache._sql("PRAGMA page_count").fetchall()
        store._cache._sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreFull):
            store.put("large", "x" * 500_000)
        assert store.get("large") is None
        assert store.get("key") == "text"


WRITER = """
    import sys
    from protocol_docs import DiskTextStore
    directory, who = sys.argv[1:]
    won = 0
    with DiskTextStore(directory) as store:
        for number in range(40):
            store.put(f"own/{who}/{number}", f"{who} {number}")
            won += store.add(f"shared/{number}", who)
            assert store.get(f"own/{who}/{number}") == f"{who} {number}"
    print(won)
"""


def test_four_processes_lose_nothing_and_each_add_has_one_winner(directory):
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(directory)]
    processes = [subprocess.Popen([*command, str(who)], stdout=subprocess.PIPE, text=True) for who in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sum(int(output) for output in outputs) == 40
    with DiskTextStore(directory) as store:
        assert len(list(store.keys("own/"))) == 160
        assert len(list(store.keys("shared/"))) == 40
        assert all(store.get(f"own/{who}/39") == f"{who} 39" for who in range(4))


KILLED = """
    import itertools, sys
    from protocol_docs import DiskTextStore
    store = DiskTextStore(sys.argv[1])
    print("ready", flush=True)
    for number in itertools.count():
        store.put("key", f"{number} " * 5000)
"""


def test_a_process_killed_while_it_writes_leaves_a_whole_text(directory):
    for _ in range(2):
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            with DiskTextStore(directory) as store:
                while store.get("key") is None:
                    pass
            process.kill()
        with DiskTextStore(directory) as store:
            text = store.get("key")
            assert len(set(text.split())) == 1
            assert len(text.split()) == 5000
            store.put("key", "written after")
            assert store.delete("key")


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_what_fills_the_rest_leaves_room_for_what_comes_first(kind, tmp_path):
    store = (
        MemoryTextStore(8_000, first=("journal/",))
        if kind == "memory"
        else DiskTextStore(tmp_path / "store", 8_000, first=("journal/",))
    )
    store.put("anything", "x" * 6_000)
    with pytest.raises(StoreFull):
        store.put("more", "x" * 1_500)
    with pytest.raises(StoreFull):
        store.add("a journal/ that is none", "x" * 1_500)
    store.put("journal/1", "x" * 1_500)
    assert store.add("journal/2", "x" * 200)
    with pytest.raises(StoreFull):
        store.put("journal/3", "x" * 1_000)
