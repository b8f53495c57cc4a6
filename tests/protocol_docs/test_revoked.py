"""What was revoked is used no more, in any process that shares the store."""

from contextlib import contextmanager

import pytest

from protocol_docs import (
    DocumentNotFound,
    DocumentRevoked,
    DocumentStore,
    MalformedHash,
    MemoryTextStore,
    ProtocolDocument,
    spell,
)

TEXT = ProtocolDocument.from_text("A city in, a temperature out.\n")
OTHER = ProtocolDocument.from_text("A name in, a number out.\n")


class Generation:
    """As processes share it; counts how often it was looked at."""

    def __init__(self) -> None:
        self.number, self.quiet, self.looks = 0, True, 0

    def now(self):
        self.looks += 1
        return str(self.number).encode() if self.quiet else None

    @contextmanager
    def changing(self):
        self.quiet = False
        yield
        self.number, self.quiet = self.number + 1, True


@pytest.fixture
def store():
    made = DocumentStore(MemoryTextStore())
    made.put(TEXT)
    made.put(OTHER)
    return made


@pytest.mark.parametrize("spelling", [TEXT.hash, spell(TEXT, "sha1-hex"), spell(TEXT, "sha1-base64")])
def test_a_revoked_document_is_not_there_by_any_name(store, spelling):
    assert store.get(spelling) == TEXT
    assert store.revoke(spelling, "it mistakes the unit") == TEXT.hash
    for name in (TEXT.hash, *(spell(TEXT, each) for each in ("sha1-hex", "sha1-base64", "cid"))):
        assert store.get(name) is None
    assert TEXT.hash not in store
    assert list(store.documents()) == [OTHER]
    assert [hit.document for hit in store.search("city temperature name number")] == [OTHER]
    assert store.revoked(TEXT.hash) == "it mistakes the unit"
    assert store.all_revoked() == {TEXT.hash: "it mistakes the unit"}


def test_a_revoked_document_is_refused_from_whoever_brings_it(store):
    store.revoke(TEXT.hash)
    with pytest.raises(DocumentRevoked):
        store.put(TEXT)
    assert store.get(TEXT.hash) is None
    store.put(OTHER)


def test_its_text_stays_to_be_looked_at_and_it_can_be_reinstated(store):
    store.revoke(TEXT.hash)
    assert store.get(TEXT.hash, though_revoked=True) == TEXT
    assert store.reinstate(TEXT.hash)
    assert not store.reinstate(TEXT.hash)
    assert store.get(TEXT.hash) == TEXT


def test_a_document_can_be_revoked_before_it_comes_by_its_sha256_alone():
    store = DocumentStore(MemoryTextStore())
    with pytest.raises(DocumentNotFound):
        store.revoke(spell(TEXT, "sha1-hex"))
    with pytest.raises(MalformedHash):
        store.revoke("no hash")
    store.revoke(TEXT.hash)
    with pytest.raises(DocumentRevoked):
        store.put(TEXT)


def test_what_one_process_revokes_another_stops_to_serve_at_its_next_look():
    texts, generation = MemoryTextStore(), Generation()
    one, other = (DocumentStore(texts, generation=generation) for _ in range(2))
    one.put(TEXT)
    assert other.get(TEXT.hash) == TEXT, "warm in the other's memory"
    one.revoke(TEXT.hash)
    assert other.get(TEXT.hash) is None
    one.reinstate(TEXT.hash)
    assert other.get(TEXT.hash) == TEXT


def test_while_nothing_changes_a_look_reads_no_store():
    texts, generation = MemoryTextStore(), Generation()
    store = DocumentStore(texts, generation=generation)
    store.put(TEXT)
    store.get(TEXT.hash)
    texts.keys = None
    looks = generation.looks
    for _ in range(3):
        assert store.get(TEXT.hash) == TEXT
    assert generation.looks == looks + 3


def test_while_something_changes_the_store_is_read():
    texts, generation = MemoryTextStore(), Generation()
    one, other = (DocumentStore(texts, generation=generation) for _ in range(2))
    one.put(TEXT)
    other.get(TEXT.hash)
    with generation.changing():
        texts.put(f"revoked/{TEXT.hash}", "written by a process that then died")
        assert other.get(TEXT.hash) is None
