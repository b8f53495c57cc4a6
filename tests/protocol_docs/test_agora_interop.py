"""Our documents in the hands of the published package, agora-protocol 0.2.0, in an environment of its own.

NEGOTIATOR_AGORA_PYTHON names that environment's Python.
"""

import json
import os
import subprocess

import pytest

from protocol_docs import ProtocolDocument, as_data_uri, catalog, draft_document, render_document, spell

pytestmark = pytest.mark.interop

READ = """
import json, sys
from agora.common.core import Protocol
from agora.utils import download_and_verify_protocol, encode_as_data_uri
found = []
for text, name, source in json.load(sys.stdin):
    protocol = Protocol(text, [], None)
    found.append({
        "hash": protocol.hash,
        "metadata": protocol.metadata,
        "fetched": download_and_verify_protocol(name, source) == text,
        "their_source": encode_as_data_uri(text),
    })
json.dump(found, sys.stdout)
"""
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


@pytest.fixture(scope="module")
def package():
    """Hands documents to the package and returns what it makes of them."""
    python = os.environ.get("NEGOTIATOR_AGORA_PYTHON")
    if not python:
        pytest.skip("NEGOTIATOR_AGORA_PYTHON names no environment with agora-protocol 0.2.0")

    def read(documents):
        rows = [(each.text, spell(each, "sha1-base64"), as_data_uri(each)) for each in documents]
        result = subprocess.run(
            [python, "-c", READ], input=json.dumps(rows), capture_output=True, text=True, check=True
        )
        return json.loads(result.stdout)

    return read


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


def test_the_package_reads_the_same_metadata_and_hash_and_takes_our_source(package):
    ours = list(documents())
    for document, theirs in zip(ours, package(ours), strict=True):
        assert theirs["metadata"] == {
            "name": document.name,
            "description": document.description,
            "multiround": document.multiround,
        }
        assert theirs["hash"] == spell(document, "sha1-base64")
        assert theirs["fetched"]


def test_sources_that_the_package_writes_are_read_here(package):
    from protocol_docs import DataUri, read_source

    ours = list(documents())
    for document, theirs in zip(ours, package(ours), strict=True):
        assert read_source(theirs["their_source"]) == DataUri(document.data)


def test_documents_in_the_packages_own_form_are_read_here(package):
    text = "---\nname: Weather\ndescription: Forecast for a place.\nmultiround: true\n---\n\nSend a city."
    document = ProtocolDocument.from_text(text)
    (theirs,) = package([document])
    assert theirs["metadata"] == {"name": document.name, "description": document.description, "multiround": True}
    assert theirs["hash"] == spell(document, "sha1-base64")
