"""What every store keeps to, as a check that a third party's store can be run through.

from protocol_docs.conformance import check_text_store

def test_my_store_conforms():
    check_text_store(lambda: MyStore(fresh_directory()))
"""

from collections.abc import Callable

from protocol_docs.document import ProtocolDocument
from protocol_docs.document_store import DocumentStore
from protocol_docs.errors import MalformedHash
from protocol_docs.hashes import Spelling, spell
from protocol_docs.text_store import TextStore

_TEXTS = (
    "",
    "plain",
    "two\nlines\r\nand\rmore\n",
    "\ufeffwith a mark",
    "nul \x00 inside",
    "e\u0301 is not \u00e9",
    "\U0001f326 \u5929\u6c17",
    "x" * 70_000,
)
_SPELLINGS: tuple[Spelling, ...] = ("sha1-hex", "sha1-base64", "cid", "oci", "rfc9530")


class NotConforming(AssertionError):
    """The store does something else than its port says; the message is the sentence that does not hold."""


def check_text_store(factory: Callable[[], TextStore]) -> None:
    """Run a text store through all that `TextStore` promises.

    Args:
        factory: Makes an empty store, with room for a few hundred kilobytes, at each call.

    Raises:
        NotConforming: at the first sentence that does not hold.
    """
    _check_values(factory())
    _check_add_and_delete(factory())
    _check_keys(factory())


def check_document_store(factory: Callable[[], DocumentStore]) -> None:
    """Run a document store, or one over a text store of yours, through what `DocumentStore` promises.

    Args:
        factory: Makes an empty store at each call.

    Raises:
        NotConforming: at the first sentence that does not hold.
    """
    store = factory()
    first, second = (ProtocolDocument.from_text(text) for text in ("first\r\n", "first\n"))
    _expect(store.get(first.hash) is None, "a document that was not put is absent")
    store.put(first, ("https://example.com/first", "first\r\n"))
    store.put(second)
    store.put(first)
    _expect(len(store) == 2, "putting a document twice keeps it once")  # noqa: PLR2004
    for document in (first, second):
        for name in (*document.aliases, *(spell(document, spelling) for spelling in _SPELLINGS)):
            _expect(store.get(name) == document, f"a document is found by each of its names ({name})")
    _expect(list(store.documents()) == sorted((first, second), key=lambda each: each.hash), "documents come by hash")
    _expect(store.sources(first.hash) == ("https://example.com/first",), "addresses are kept, and texts are not")
    _expect(store.remove(first.hash) and not store.remove(first.hash), "a document is removed once")
    _expect(all(store.get(name) is None for name in first.aliases), "a removed document is absent by all its names")
    _expect(store.get(second.hash) == second, "removing one document leaves the others")
    try:
        store.get("not a hash")
    except MalformedHash:
        return
    raise NotConforming("what is no hash raises MalformedHash")


def _check_values(store: TextStore) -> None:
    for index, text in enumerate(_TEXTS):
        key = f"value/{index} ~!"
        _expect(store.get(key) is None, "a key that was not put is absent")
        store.put(key, text)
        _expect(store.get(key) == text, f"a text comes back exactly as it was ({text[:20]!r})")
        store.put(key, "another")
        _expect(store.get(key) == "another", "a second text takes the place of the first")
    for key in ("", "x" * 513, "caf\u00e9", "line\nbreak"):
        for use in (store.get, store.delete, lambda key: store.put(key, ""), lambda key: store.add(key, "")):
            _expect_refused(use, key)


def _check_add_and_delete(store: TextStore) -> None:
    _expect(store.add("key", "one"), "add sets what is not there")
    _expect(not store.add("key", "two"), "add leaves what is there")
    _expect(store.get("key") == "one", "add leaves what is there as it was")
    _expect(store.delete("key") and not store.delete("key"), "delete tells whether the key was there")
    _expect(store.add("key", "two") and store.get("key") == "two", "a deleted key can be added again")


def _check_keys(store: TextStore) -> None:
    names = ["b/1", "a", "b/10", "b", "B/1", "b/2", "b0", "c~"]
    for name in names:
        store.put(name, name)
    _expect(list(store.keys()) == sorted(names), "keys come in ascending order")
    _expect(list(store.keys("b/")) == ["b/1", "b/10", "b/2"], "keys are those that start with the prefix")
    _expect(list(store.keys("z")) == [], "no key is listed that does not start with the prefix")
    listed = store.keys()
    store.delete("a")
    store.put("a2", "")
    _expect(list(listed) == sorted(names), "keys are those at the time of the call")


def _expect_refused(use: Callable[[str], object], key: str) -> None:
    try:
        use(key)
    except ValueError:
        return
    raise NotConforming(f"what is no key raises ValueError ({key[:20]!r})")


def _expect(holds: object, sentence: str) -> None:
    if not holds:
        raise NotConforming(sentence)
