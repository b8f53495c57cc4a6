"""Our documents in the hands of the published package, agora-protocol 0.2.0, and its documents in ours."""

import pytest

from protocol_docs import (
    DataUri,
    ProtocolDocument,
    as_data_uri,
    catalog,
    draft_document,
    read_source,
    render_document,
    spell,
)

pytestmark = pytest.mark.interop

NAMES = [
    "Weather",
    "a --- b",
    "a: b # c",
    "true",
    "12",
    "'x'",
    '"x"',
    "two\nlines",
    "\u5929\u6c17",
    "\U0001f326",
    "- x",
    "{x}",
    "*x",
    "%x",
    "@x",
    "",
]


def documents():
    yield from catalog.all_documents()
    yield draft_document(
        name="get_forecast",
        description="Forecast: for a place --- and a day.",
        request_schema={"type": "object", "properties": {"city": {"type": "string", "description": "a --- b"}}},
        reply_schema={"type": "string"},
        effect="safe",
    )
    for name in NAMES:
        yield render_document(
            name=name, description=name, body="Body.\n---\n", annex=None, multiround=name == "Weather"
        )


@pytest.fixture
def read(agora_orders):
    """Hands a document to the package and returns what it makes of it."""
    return lambda document: agora_orders(do="parse", text=document.text, uri=as_data_uri(document))


@pytest.mark.parametrize("document", list(documents()), ids=lambda document: f"{document.name!r}")
def test_the_package_reads_a_document_of_ours_as_we_do(read, document):
    theirs = read(document)
    assert theirs["metadata"] == {
        "name": document.name,
        "description": document.description,
        "multiround": document.multiround,
    }
    assert theirs["hash"] == spell(document, "sha1-base64")
    assert theirs["our_uri"], "our data URI leads it to the text"
    assert read_source(theirs["source"]) == DataUri(document.data), "and its data URI leads us there"


def test_a_document_in_the_packages_own_form_is_read_here_as_there(read):
    text = "---\nname: Weather\ndescription: Forecast for a place.\nmultiround: true\n---\n\nSend a city."
    document = ProtocolDocument.from_text(text)
    theirs = read(document)
    assert theirs["metadata"] == {"name": document.name, "description": document.description, "multiround": True}
    assert theirs["hash"] == spell(document, "sha1-base64")
