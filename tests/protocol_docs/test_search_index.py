"""The index that documents are found by: kept, brought up to date, and never in the way."""

import re
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_docs import (
    DocumentStore,
    MemoryTextStore,
    ProtocolDocument,
    SearchIndex,
    draft_document,
    render_document,
    search,
)
from protocol_docs.search_index import described
from protocol_docs.search_words import stem, terms, wanted_terms


def document(name: str, description: str = "", **members: object) -> ProtocolDocument:
    return draft_document(
        name=name,
        description=description,
        request_schema={"type": "object", "properties": {key: {"type": "string"} for key in members}},
        reply_schema={"type": "object"},
        effect="safe",
    )


HOTEL = document("book_hotel", "Reserve a room in a hotel.", nights="")
TRAIN = document("train_times", "When trains leave a station.", station="")
WEATHER = document("forecast", "Weather for a city.", city="")
ALL = (HOTEL, TRAIN, WEATHER)


def store_with(index: SearchIndex, *documents: ProtocolDocument, texts: MemoryTextStore | None = None) -> DocumentStore:
    store = DocumentStore(texts or MemoryTextStore(), index=index)
    for each in documents:
        store.put(each)
    return store


def found(store: DocumentStore, query: str) -> list[ProtocolDocument]:
    return [hit.document for hit in store.search(query)]


class Embedder:
    """Knows that lodging is about hotels, in whatever words; counts what it is asked."""

    name = "about"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        return [[1.0, 0.0] if "hotel" in text or "bed" in text else [0.0, 1.0] for text in texts]


def test_what_is_put_is_found_and_what_is_removed_is_not() -> None:
    store = store_with(SearchIndex(), HOTEL, TRAIN)
    assert found(store, "hotel room") == [HOTEL]
    store.put(WEATHER)
    assert found(store, "weather") == [WEATHER]
    store.remove(WEATHER.hash)
    assert found(store, "weather") == []


def test_the_index_outlives_the_process_and_is_shared(tmp_path: Path) -> None:
    texts, path = MemoryTextStore(), tmp_path / "search.sqlite3"
    one = store_with(SearchIndex(path), HOTEL, texts=texts)
    other = DocumentStore(texts, index=SearchIndex(path))
    assert found(other, "hotel") == [HOTEL]
    one.put(TRAIN)
    assert found(other, "station") == [TRAIN], "added by the other after this one had looked"


def test_what_was_put_without_the_index_is_taken_in_at_the_first_search(tmp_path: Path) -> None:
    texts = MemoryTextStore()
    store_with(SearchIndex(), HOTEL, texts=texts)
    index = SearchIndex(tmp_path / "search.sqlite3")
    index.add([TRAIN])  # left by a store that is gone
    assert found(DocumentStore(texts, index=index), "hotel station") == [HOTEL]
    assert index.hashes() == {HOTEL.hash}


@pytest.mark.parametrize("spoilt", [b"no database at all, but some other bytes" * 100, b""])
def test_a_file_that_is_no_index_is_made_anew(tmp_path: Path, spoilt: bytes) -> None:
    path = tmp_path / "search.sqlite3"
    path.write_bytes(spoilt)
    assert found(store_with(SearchIndex(path), *ALL), "hotel") == [HOTEL]
    assert found(DocumentStore(MemoryTextStore(), index=SearchIndex(path)), "hotel") == []


def test_an_index_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    texts = MemoryTextStore()
    store_with(SearchIndex(path), HOTEL, texts=texts)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 77")
        database.execute("DROP TABLE posting")
    database.close()
    assert found(DocumentStore(texts, index=SearchIndex(path)), "hotel") == [HOTEL]


def test_an_index_that_breaks_while_it_is_used_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    store = store_with(SearchIndex(path), *ALL)
    assert found(store, "hotel") == [HOTEL]
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE posting")
    database.close()
    assert found(store, "hotel") == [HOTEL]


def test_where_no_file_can_be_made_the_index_is_in_memory(tmp_path: Path) -> None:
    store = store_with(SearchIndex(tmp_path / "no" / "such" / "folder" / "search.sqlite3"), *ALL)
    assert found(store, "hotel") == [HOTEL]
    assert list(tmp_path.iterdir()) == []


def test_an_embedder_finds_what_shares_no_word_and_words_still_count() -> None:
    embedder = Embedder()
    store = store_with(SearchIndex(embedder=embedder), *ALL)
    assert found(store, "a bed for tonight")[0] == HOTEL
    assert found(store, "station")[0] == TRAIN


def test_vectors_are_made_once_and_some_at_a_time(tmp_path: Path) -> None:
    texts, path = MemoryTextStore(), tmp_path / "search.sqlite3"
    first = Embedder()
    store = store_with(SearchIndex(path, embedder=first), *ALL, texts=texts)
    assert store.index_all(embed=2) == 1
    assert store.index_all(embed=2) == 0
    made = len(first.asked)
    assert made == sum(len(described(each)) for each in ALL)
    second = Embedder()
    assert found(DocumentStore(texts, index=SearchIndex(path, embedder=second)), "a bed")[0] == HOTEL
    assert second.asked == ["a bed"]


def test_what_a_reply_holds_counts_less_than_what_is_asked_for() -> None:
    asks = document("one", "Something.", station="")
    gives = draft_document(
        name="two",
        description="Something.",
        request_schema={"type": "object", "properties": {"name": {}}},
        reply_schema={"type": "object", "properties": {"station": {}}},
        effect="safe",
    )
    assert [hit.document for hit in search("station", [gives, asks])] == [asks, gives]


@pytest.mark.parametrize(
    ("query", "name"),
    [("\u5929\u6c14\u9884\u62a5", "\u67e5\u8be2\u5929\u6c14"), ("\ub0a0\uc528", "\ub0a0\uc528 \uc608\ubcf4")],
)
def test_scripts_without_blanks_are_found_by_parts(query: str, name: str) -> None:
    wanted = render_document(name=name, description="", body="-", annex=None)
    other = render_document(name="\u9152\u5e97", description="\u9884\u8ba2", body="-", annex=None)
    assert search(query, [other, wanted])[0].document == wanted


def test_words_are_compared_without_their_endings_and_widened_by_what_people_say_instead() -> None:
    for one, other in [
        ("deletes", "deletion"),
        ("created", "creating"),
        ("repositories", "repository"),
        ("running", "runs"),
        ("deployment", "deploy"),
        ("authorization", "authorize"),
        ("status", "status"),
    ]:
        assert stem(one) == stem(other), (one, other)
    assert list(terms("listOrgSecrets don't")) == [stem(word) for word in ("list", "org", "secrets", "don")]
    wanted = wanted_terms("please remove the hotel")
    assert wanted[stem("hotel")] == 1.0
    assert 0 < wanted[stem("delete")] < 1.0
    assert stem("the") not in wanted
    assert wanted_terms("what is it") != {}


@given(st.lists(st.text(max_size=40), max_size=6), st.text(max_size=60))
def test_any_query_has_an_answer_in_order(texts: list[str], query: str) -> None:
    documents = [render_document(name=text or "-", description=text, body="-", annex=None) for text in texts]
    hits = search(query, documents)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert {hit.document for hit in hits} <= set(documents)


def test_what_was_read_for_a_search_serves_the_next_until_something_changes() -> None:
    index = SearchIndex()
    index.add(ALL)
    first = index.find("hotel room")
    asked: list[str] = []
    index._database().set_trace_callback(asked.append)
    assert index.find("hotel room") == first
    assert [each for each in asked if "FROM posting" in each] == []
    index.add([document("hotel_prices", "What a hotel takes.")])
    assert len(index.find("hotel room")) == len(first) + 1


def test_the_order_is_the_same_however_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    index, small = SearchIndex(), SearchIndex()
    index.add(ALL)
    small.add(ALL)
    expected = {query: index.find(query) for query in ("hotel station city", "a room in the weather", "trains")}
    monkeypatch.setattr("protocol_docs.postings.MAX_KEPT", 1)
    monkeypatch.setattr("protocol_docs.postings.MAX_COUNTED", 1)
    for query, found_before in expected.items():
        assert small.find(query) == small.find(query) == found_before
    assert small._postings is not None
    assert len(small._postings._counts) == 1


def test_the_most_telling_word_is_weighed_however_many_documents_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    index = SearchIndex()
    index.add([*ALL, document("hotel_prices", "What a hotel takes.")])
    monkeypatch.setattr("protocol_docs.search_index._POSTINGS", 1)
    assert len(index.find("hotel")) == 2
    (only,) = index.find("weather hotel")
    assert only[0] == WEATHER.hash


def test_of_equal_documents_those_of_the_first_hashes_come_among_the_few() -> None:
    index = SearchIndex()
    same = [document("hotel", body) for body in ("one.", "two.", "six.", "ten.")]
    index.add(same)
    assert [name for name, _ in index.find("hotel", 2)] == sorted(each.hash for each in same)[:2]


class Numbers:
    """Makes a vector of the numbers in a text, as long as there are any."""

    name = "numbers"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(part) for part in re.findall(r"-?[0-9]+", text)] or [0.0, 0.0] for text in texts]


def numbered(name: str, first: int, second: int) -> ProtocolDocument:
    return render_document(name=name, description=f"{first} {second}", body="-", annex=None)


def indexed(index: SearchIndex, *documents: ProtocolDocument) -> SearchIndex:
    index.add(documents)
    index.embed(documents)
    return index


def test_the_vectors_that_were_read_stay_and_those_of_new_documents_are_read_alone() -> None:
    east, north, west = numbered("a", 9, 1), numbered("b", 1, 9), numbered("c", -9, -1)
    index = indexed(SearchIndex(embedder=Numbers()), east, north)
    assert [name for name, _ in index.find("5 2")] == [east.hash, north.hash]
    asked: list[str] = []
    index._database().set_trace_callback(asked.append)
    indexed(index, west)
    assert [name for name, _ in index.find("-5 2")] == [west.hash, north.hash, east.hash]
    assert len([each for each in asked if "SELECT data" in each]) == 1
    asked.clear()
    assert len(index.find("5 2")) == 3
    assert [each for each in asked if "vector" in each] == [], "nothing has come since"
    index.remove([north.hash])
    assert [name for name, _ in index.find("5 2")] == [east.hash, west.hash]
    assert [name for name, _ in index.find("-5 2")] == [west.hash, east.hash]
    index.remove([east.hash, west.hash])
    assert index.find("5 2") == []


def test_vectors_are_held_against_those_of_their_own_length_alone(tmp_path: Path) -> None:
    one, other = numbered("a", 1, 0), numbered("b", 0, 1)
    path = tmp_path / "search.sqlite3"
    indexed(SearchIndex(path, embedder=Numbers()), one, other).close()
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE vector SET data = ? WHERE document = (SELECT max(document) FROM vector)", (b"\0" * 12,)
        )
    database.close()
    index = SearchIndex(path, embedder=Numbers())
    found = [index.find(query) for query in ("5 2", "5 2 5", "5")]
    assert [len(each) for each in found] == [1, 1, 0]
    assert found[0][0][0] != found[1][0][0]
    index.remove([found[1][0][0]])
    assert index.find("5 2 5") == []


def test_which_documents_wait_for_a_vector_is_asked_again_where_another_process_added_one(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    index = indexed(SearchIndex(path, embedder=Embedder()), HOTEL)
    assert index.without_vector() == []
    asked: list[str] = []
    index._database().set_trace_callback(asked.append)
    assert index.without_vector() == []
    assert [each for each in asked if "NOT IN" in each] == []
    SearchIndex(path).add([TRAIN])
    assert index.without_vector() == [TRAIN.hash]


def test_a_search_sees_one_content_of_the_index_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    index, other = indexed(SearchIndex(path, embedder=Embedder()), HOTEL, TRAIN), SearchIndex(path)
    rooms = document("hotel_room", "A room in a hotel.")

    def write(statement: str) -> None:
        if "FROM posting" in statement and rooms.hash not in other.hashes():
            other.add([rooms])

    index._database().set_trace_callback(write)
    assert index.find("hotel", 1)[0][0] == HOTEL.hash
    assert other.hashes() == {HOTEL.hash, TRAIN.hash, rooms.hash}
    assert rooms.hash in [name for name, _ in index.find("hotel")]


def test_while_an_embedder_thinks_others_may_use_the_index() -> None:
    index = SearchIndex()

    class Slow(Embedder):
        def embed(self, texts: Sequence[str]) -> list[list[float]]:
            if texts == ["a bed"]:
                other = threading.Thread(target=index.hashes, daemon=True)
                other.start()
                other.join(timeout=10)
                assert not other.is_alive()
            return super().embed(texts)

    index = indexed(SearchIndex(embedder=Slow()), *ALL)
    assert index.find("a bed", 1)[0][0] == HOTEL.hash


def test_none_are_found_where_none_are_wanted() -> None:
    assert indexed(SearchIndex(embedder=Embedder()), *ALL).find("hotel", 0) == []


WORDS = st.lists(st.sampled_from(["hotel", "room", "train", "station", "1 0", "0 1", "-1 0"]), min_size=1, max_size=4)


@given(
    said=st.lists(WORDS, min_size=1, max_size=8, unique_by=tuple), query=WORDS, limit=st.integers(1, 9), data=st.data()
)
def test_what_is_found_is_the_same_with_numpy_and_without_and_in_whatever_order_documents_came(
    said: list[list[str]], query: list[str], limit: int, data: st.DataObject
) -> None:
    documents = [render_document(name="-", description=" ".join(words), body="-", annex=None) for words in said]
    found = indexed(SearchIndex(embedder=Numbers()), *documents).find(" ".join(query), limit)
    assert found == sorted(found, key=lambda each: (-each[1], each[0]))
    shuffled = indexed(SearchIndex(embedder=Numbers()), *data.draw(st.permutations(documents)))
    assert shuffled.find(" ".join(query), limit) == found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protocol_docs.scores.load_numpy", lambda: None)
        patch.setattr("protocol_docs.search_index.load_numpy", lambda: None)
        assert indexed(SearchIndex(embedder=Numbers()), *documents).find(" ".join(query), limit) == found
