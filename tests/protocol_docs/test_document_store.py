import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocol_docs.document
from protocol_docs import (
    AmbiguousAlias,
    DiskTextStore,
    DocumentStore,
    MalformedDocument,
    MalformedHash,
    MemoryTextStore,
    ProtocolDocument,
    StoreFull,
    as_data_uri,
    spell,
)
from protocol_docs.conformance import check_document_store


class Counting(MemoryTextStore):
    """Counts the reads that reach the text store."""

    reads = 0

    def get(self, key):
        self.reads += 1
        return super().get(key)


@pytest.fixture
def weak_sha1(monkeypatch):
    """Four aliases for all texts, so that collisions are easy to have."""

    def weak(data):
        return "sha1:" + format(hashlib.sha256(data).digest()[0] % 4, "040x")

    monkeypatch.setattr(protocol_docs.document, "sha1_of", weak)


def documents(amount):
    return [ProtocolDocument.from_text(f"document {number}\n") for number in range(amount)]


def colliding():
    """Two documents on one alias, and one on another."""
    first, *others = documents(30)
    same = next(each for each in others if each.aliases[1] == first.aliases[1])
    apart = next(each for each in others if each.aliases[1] != first.aliases[1])
    return first, same, apart


def test_document_stores_conform_over_memory_and_disk(tmp_path):
    check_document_store(lambda: DocumentStore(MemoryTextStore()))
    pytest.importorskip("diskcache")
    with DiskTextStore(tmp_path / "store") as texts:
        check_document_store(lambda: DocumentStore(texts))


def test_a_known_hash_or_alias_is_answered_without_the_text_store():
    texts = Counting()
    store = DocumentStore(texts)
    (document,) = documents(1)
    store.put(document)
    for name in document.aliases:
        store.get(name)
    before = texts.reads
    assert all(store.get(name) is store.get(document.hash) for name in document.aliases * 10)
    assert texts.reads == before


def test_what_another_process_puts_is_found():
    texts = MemoryTextStore()
    here, there = DocumentStore(texts), DocumentStore(texts)
    (document,) = documents(1)
    assert here.get(document.hash) is None
    there.put(document, ["https://example.com/a"])
    assert here.get(spell(document, "sha1-base64")) == document
    assert here.sources(document.hash) == ("https://example.com/a",)


@pytest.mark.parametrize("fresh", [True, False])
def test_two_texts_on_one_alias_refuse_the_alias_and_keep_their_hashes(weak_sha1, fresh):
    texts = MemoryTextStore()
    store = DocumentStore(texts)
    first, same, apart = colliding()
    store.put(first)
    assert store.get(first.aliases[1]) == first
    store.put(same)
    store.put(apart)
    if fresh:
        store = DocumentStore(texts)
    for _ in range(2):
        with pytest.raises(AmbiguousAlias):
            store.get(first.aliases[1])
    assert [store.get(each.hash) for each in (first, same)] == [first, same]
    assert store.get(apart.aliases[1]) == apart
    with pytest.raises(AmbiguousAlias):
        store.get(first.aliases[1])


def test_an_alias_is_good_again_when_one_text_alone_has_it(weak_sha1):
    store = DocumentStore(MemoryTextStore())
    first, same, _ = colliding()
    store.put(first)
    store.put(same)
    assert store.remove(same.hash)
    assert store.get(first.aliases[1]) == first


def test_an_alias_row_that_points_at_another_text_is_not_believed():
    texts = MemoryTextStore()
    store = DocumentStore(texts)
    first, second = documents(2)
    store.put(first)
    store.put(second)
    for row in (second.hash, "nonsense", "", f"{second.hash}\nsha256:{'0' * 64}"):
        texts.put("alias/" + first.aliases[1], row)
        assert DocumentStore(texts).get(first.aliases[1]) is None


def test_sources_are_merged_and_the_newest_stay():
    store = DocumentStore(MemoryTextStore())
    (document,) = documents(1)
    addresses = [f"https://example.com/{number}" for number in range(20)]
    store.put(document, addresses[:10])
    store.put(document, [addresses[0], *addresses[10:]])
    assert store.sources(document.hash) == (*addresses[5:10], addresses[0], *addresses[10:])


def test_texts_data_uris_and_unusable_addresses_are_not_kept_as_sources():
    store = DocumentStore(MemoryTextStore())
    (document,) = documents(1)
    store.put(document, [document.text, as_data_uri(document), "file:///etc/passwd", "https://e.com/" + "x" * 3000])
    assert store.sources(document.hash) == ()


@pytest.mark.parametrize("row", ["", "not json", "{}", "5", '[1, null, "https://example.com"]'])
def test_sources_that_somebody_changed_are_left_out(row):
    texts = MemoryTextStore()
    (document,) = documents(1)
    texts.put("sources/" + document.hash, row)
    assert set(DocumentStore(texts).sources(document.hash)) <= {"https://example.com"}


def test_a_document_that_the_store_has_no_room_for_is_served_from_memory():
    store = DocumentStore(MemoryTextStore(max_bytes=10))
    (document,) = documents(1)
    with pytest.raises(StoreFull):
        store.put(document)
    assert store.get(document.hash) == document
    assert len(store) == 0
    with pytest.raises(StoreFull):
        store.put(document)


def test_memory_in_front_is_bounded_and_the_store_behind_still_answers():
    texts = Counting()
    store = DocumentStore(texts, warm_bytes=30)
    all_documents = documents(6)
    for document in all_documents:
        store.put(document)
    assert store._warm_bytes <= 30
    for document in all_documents * 2:
        assert store.get(document.hash) == document
        assert store.get(document.aliases[1]) == document
        assert store._warm_bytes == sum(len(each.data) for each in {*store._warm.values()}) <= 30


def test_a_document_over_the_stores_limit_is_refused():
    store = DocumentStore(MemoryTextStore(), max_document_bytes=5)
    with pytest.raises(MalformedDocument):
        store.put(ProtocolDocument.from_text("123456"))


def test_what_is_no_hash_is_malformed():
    with pytest.raises(MalformedHash):
        DocumentStore(MemoryTextStore()).get("negotiation")


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["put", "remove", "get", "reopen"]), st.integers(0, 7)), max_size=40))
def test_a_document_is_here_exactly_when_it_was_put_and_not_removed(steps):
    texts = MemoryTextStore()
    store = DocumentStore(texts, warm_bytes=40)
    known, here = documents(8), set()
    for step, index in steps:
        document = known[index]
        if step == "put":
            store.put(document)
            here.add(document)
        elif step == "remove":
            assert store.remove(document.hash) == (document in here)
            here.discard(document)
        elif step == "get":
            expected = document if document in here else None
            assert all(store.get(name) == expected for name in document.aliases)
        else:
            store = DocumentStore(texts, warm_bytes=40)
    assert set(store.documents()) == here
    assert len(store) == len(here)
