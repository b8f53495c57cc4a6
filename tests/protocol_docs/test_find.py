import anyio
import pytest

from protocol_docs import (
    DocumentNotFound,
    Fetcher,
    HashMismatch,
    MalformedHash,
    ProtocolDocument,
    SourceRefused,
    SourceUnreachable,
    as_data_uri,
    find_document,
    spell,
)

pytestmark = pytest.mark.anyio

WANTED = ProtocolDocument.from_text("name: a\ndescription: b\n---\nSend a city.\n")
OTHER = ProtocolDocument.from_text("something else\n")


class Pages:
    """A fetcher over a dict; what is not in it is unreachable."""

    def __init__(self, **pages):
        self.pages = {f"https://example.com/{name}": data for name, data in pages.items()}
        self.asked = []

    async def fetch(self, url):
        self.asked.append(url)
        await anyio.lowlevel.checkpoint()
        if url not in self.pages:
            raise SourceUnreachable(url)
        return self.pages[url]


def address(name):
    return f"https://example.com/{name}"


async def find(hashes, sources, fetcher=None, seconds=5):
    return await find_document(hashes, sources, fetcher=fetcher, timeout=seconds)


def test_the_shape_of_a_fetcher():
    assert isinstance(Pages(), Fetcher)


@pytest.mark.parametrize("source", [WANTED.text, as_data_uri(WANTED), address("a")])
@pytest.mark.parametrize(
    "names", [[WANTED.hash], WANTED.aliases, [spell(WANTED, "sha1-base64")], [spell(WANTED, "cid")]]
)
async def test_a_document_is_found_in_any_kind_of_source_by_any_of_its_names(source, names):
    assert await find(names, [source], Pages(a=WANTED.data)) == WANTED


async def test_sources_are_tried_in_order_until_one_fits():
    pages = Pages(other=OTHER.data, binary=b"\xff", right=WANTED.data, late=WANTED.data)
    sources = [
        address("gone"),
        "file:///x",
        OTHER.text,
        address("other"),
        address("binary"),
        address("right"),
        address("late"),
    ]
    assert await find([WANTED.hash], sources, pages) == WANTED
    assert pages.asked == [address(name) for name in ("gone", "other", "binary", "right")]


@pytest.mark.parametrize("index", range(len(WANTED.data)))
async def test_a_text_with_any_byte_flipped_is_never_returned(index):
    flipped = bytearray(WANTED.data)
    flipped[index] ^= 1
    with pytest.raises(HashMismatch):
        await find([WANTED.hash], [address("a"), address("gone")], Pages(a=bytes(flipped)))


async def test_a_text_must_fit_all_the_names_given():
    with pytest.raises(HashMismatch):
        await find([WANTED.hash, OTHER.aliases[1]], [WANTED.text, OTHER.text])


async def test_with_no_text_at_all_the_document_is_not_found_and_the_failures_are_listed():
    with pytest.raises(DocumentNotFound) as caught:
        await find([WANTED.hash], [address("gone"), "file:///etc/passwd", "data:;base64,a"], Pages())
    assert [(source, failure.code) for source, failure in caught.value.failures] == [
        (address("gone"), "source_unreachable"),
        ("file:///etc/passwd", "source_refused"),
        ("data:;base64,a", "malformed_document"),
    ]


async def test_with_no_sources_the_document_is_not_found():
    with pytest.raises(DocumentNotFound):
        await find([WANTED.hash], [])


async def test_without_a_fetcher_addresses_are_refused():
    with pytest.raises(DocumentNotFound) as caught:
        await find([WANTED.hash], [address("a")])
    assert isinstance(caught.value.failures[0][1], SourceRefused)


@pytest.mark.parametrize("names", [[], ["negotiation"], [WANTED.hash, "x"]])
async def test_without_a_hash_nothing_is_fetched(names):
    pages = Pages(a=WANTED.data)
    with pytest.raises(MalformedHash):
        await find(names, [address("a")], pages)
    assert pages.asked == []


async def test_a_source_that_never_answers_ends_at_the_deadline():
    class Silent:
        async def fetch(self, url):
            await anyio.sleep_forever()

    with anyio.fail_after(5), pytest.raises(DocumentNotFound) as caught:
        await find([WANTED.hash], [address("a"), address("b")], Silent(), seconds=0.01)
    assert [source for source, _ in caught.value.failures] == [address("a")]


async def test_a_long_list_of_sources_is_cut():
    pages = Pages()
    with pytest.raises(DocumentNotFound):
        await find([WANTED.hash], [address(number) for number in range(100)], pages)
    assert len(pages.asked) == 16
