"""Rows that somebody else wrote: each reads as absent, and nothing of theirs runs or is opened."""

import pickle
import sqlite3

import pytest

from protocol_docs import DiskTextStore, DocumentStore, ProtocolDocument

pytest.importorskip("diskcache")


class Touching:
    """An object whose unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def directory(tmp_path):
    with DiskTextStore(tmp_path / "store") as store:
        store.put("key", "text")
        store.put("other", "text")
    return tmp_path / "store"


def tamper(directory, **columns):
    database = sqlite3.connect(directory / "cache.db")
    with database:
        for column, value in columns.items():
            database.execute(f"UPDATE Cache SET {column} = ? WHERE key = 'key'", (value,))  # noqa: S608
    database.close()


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 4, 5, None, "1"])
@pytest.mark.parametrize("filename", [None, "../secret", "secret"])
def test_a_planted_pickle_or_file_reads_as_absent_and_nothing_runs(directory, tmp_path, mode, filename):
    witness = tmp_path / "witness"
    (tmp_path / "secret").write_bytes(pickle.dumps(Touching(witness)))
    (directory / "secret").write_bytes(pickle.dumps(Touching(witness)))
    tamper(directory, mode=mode, filename=filename, value=pickle.dumps(Touching(witness)))
    with DiskTextStore(directory) as store:
        assert store.get("key") is None
        assert list(store.keys()) == ["other"]
    assert not witness.exists()


@pytest.mark.parametrize("use", ["put", "add", "delete"])
@pytest.mark.parametrize("filename", ["../secret", "/{}/secret"])
def test_overwriting_a_planted_row_removes_no_file(directory, tmp_path, use, filename):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    tamper(directory, mode=3, filename=filename.format(tmp_path), value=None)
    with DiskTextStore(directory) as store:
        if use == "put":
            store.put("key", "new")
        elif use == "add":
            assert store.add("key", "new")
        else:
            assert not store.delete("key")
        assert store.get("key") == (None if use == "delete" else "new")
    assert secret.read_text() == "mine"


@pytest.mark.parametrize("mode", [1, 3])
def test_a_row_that_names_a_file_outside_is_not_read(directory, tmp_path, mode):
    (tmp_path / "secret").write_text("a secret")
    tamper(directory, mode=mode, filename="../secret")
    with DiskTextStore(directory) as store:
        assert store.get("key") is None


@pytest.mark.parametrize("value", [5, 1.5, b"bytes", None])
def test_a_value_that_is_no_text_reads_as_absent(directory, value):
    tamper(directory, value=value)
    with DiskTextStore(directory) as store:
        assert store.get("key") is None


def test_bytes_that_are_no_utf8_read_as_absent(directory):
    database = sqlite3.connect(directory / "cache.db")
    with database:
        database.execute("UPDATE Cache SET value = CAST(x'fffe' AS TEXT) WHERE key = 'key'")
    database.close()
    with DiskTextStore(directory) as store:
        assert store.get("key") is None
        assert store.add("key", "new")
        assert store.get("key") == "new"


@pytest.mark.parametrize(("key", "raw"), [(b"key", 1), (5, 1), (pickle.dumps(("key",)), 0)])
def test_a_key_that_is_no_text_is_not_listed_and_not_unpickled(directory, key, raw):
    tamper(directory, key=key, raw=raw)
    with DiskTextStore(directory) as store:
        assert list(store.keys()) == ["other"]
        assert store.get("key") is None


def test_a_document_changed_on_disk_is_absent_until_the_right_text_is_put(tmp_path):
    document = ProtocolDocument.from_text("name: a\ndescription: b\n---\nSend a city.\n")
    with DiskTextStore(tmp_path / "store") as texts:
        DocumentStore(texts).put(document)
        for index in range(0, len(document.text), 7):
            changed = document.text[:index] + "#" + document.text[index + 1 :]
            texts.put("document/" + document.hash, changed)
            fresh = DocumentStore(texts)
            assert all(fresh.get(name) is None for name in document.aliases)
            assert list(fresh.documents()) == []
        fresh.put(document)
        assert DocumentStore(texts).get(document.hash) == document
