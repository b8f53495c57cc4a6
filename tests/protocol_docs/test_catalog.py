import hashlib
import json

import pytest

from protocol_docs import HashMismatch, catalog, render_document

DIALOGUE = catalog.negotiation_dialogue()
DIRECT = catalog.direct_json()

# A change of these is a new protocol: peers that know the old one do not know the new one.
HASHES = {
    "Negotiation dialogue": "sha256:fe628387484769ca365cb3091076640256811067fca9c4fabc2d4e272b8d2538",
    "Direct JSON call": "sha256:8b747b85e9e915b617d5d46cf963967f90f6e374f9f38faf5de8a60648909d3d",
}


def test_the_hashes_of_our_documents_are_the_ones_published():
    assert {document.name: document.hash for document in catalog.all_documents()} == HASHES
    assert catalog.hashes() == set(HASHES.values())
    assert (DIALOGUE.hash, DIRECT.hash) == (catalog.NEGOTIATION_DIALOGUE, catalog.DIRECT_JSON)


@pytest.mark.parametrize("document", catalog.all_documents(), ids=lambda document: document.name)
def test_our_documents_are_in_the_one_form_that_rendering_gives(document):
    again = render_document(
        name=document.name, description=document.description, body=document.body, annex=document.annex
    )
    assert again.text == document.text
    assert document.annex_problem is None
    assert not document.multiround


def test_a_text_that_was_changed_where_it_is_installed_is_not_served(monkeypatch):
    with pytest.raises(HashMismatch):
        catalog._read("direct_json.md", DIALOGUE.hash)


def test_documents_are_read_once():
    assert catalog.negotiation_dialogue() is DIALOGUE
    assert catalog.all_documents() is catalog.all_documents()


def messages():
    for example in DIALOGUE.annex.examples:
        yield example.request
        yield example.reply


def digest(identifier, selected):
    canonical = json.dumps(
        {
            "id": identifier,
            "protocol_hash": selected["protocol_hash"],
            "tier": selected["tier"],
            "valid_seconds": selected["valid_seconds"],
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def test_every_message_decision_and_form_of_the_dialogue_has_an_example():
    kinds = {message.get("type", "error") for message in messages()}
    assert kinds == {"opening", "counter", "agreement", "answer", "agreed", "error"}
    decisions = {message["decision"] for message in messages() if message.get("type") == "answer"}
    assert decisions == {"accepted", "rejected", "needs_more_information"}


def test_the_digests_in_the_examples_are_those_that_the_prose_describes():
    answers = [message for message in messages() if message.get("decision") == "accepted"]
    assert len(answers) >= 2
    for answer in answers:
        assert answer["digest"] == digest(answer["id"], answer["selected"])
        assert answer["digest"] in DIALOGUE.text
    agreed = next(message for message in messages() if message.get("type") == "agreed")
    assert agreed["digest"] in DIALOGUE.body


def test_the_documents_carried_in_the_examples_have_the_hashes_that_are_named():
    selected = [message["selected"] for message in messages() if message.get("selected")]
    carried = [each for each in selected if each["document"] is not None]
    assert carried
    for each in carried:
        assert each["protocol_hash"] == "sha256:" + hashlib.sha256(each["document"].encode()).hexdigest()
    counters = [message["document"] for message in messages() if message.get("type") == "counter"]
    proposed = next(document for document in counters if document)
    assert "sha256:" + hashlib.sha256(proposed.encode()).hexdigest() in {each["protocol_hash"] for each in selected}


def test_the_prose_explains_every_member_code_and_kind_that_the_schemas_have():
    schemas = json.dumps([DIALOGUE.annex.request_schema, DIALOGUE.annex.reply_schema])
    words = {word for word in schemas.replace('"', " ").split() if "_" in word and word.replace("_", "").isalpha()}
    assert {"protocol_hash", "valid_seconds", "unit_mismatch", "human_authorization"} <= words
    assert [word for word in sorted(words) if f"`{word}`" not in DIALOGUE.body] == []
    assert [error.code for error in DIRECT.annex.errors] == sorted(error.code for error in DIRECT.annex.errors)


@pytest.mark.parametrize(
    "message",
    [
        {"decision": "accepted", "selected": None},
        {"decision": "accepted", "digest": None},
        {"decision": "rejected"},
        {"decision": "perhaps"},
        {"id": "x" * 65},
        {"id": ""},
        {"selected": {"protocol_hash": "sha1:" + "a" * 40}},
    ],
)
def test_answers_that_contradict_themselves_do_not_fit_the_schema(message):
    from protocol_docs.annex import validator

    check = validator(DIALOGUE.annex.reply_schema)
    sound = DIALOGUE.annex.examples[0].reply
    assert check.is_valid(sound)
    assert not check.is_valid({**sound, **message})


def test_members_that_nobody_described_are_ignored():
    from protocol_docs.annex import validator

    for schema, message in (
        (DIALOGUE.annex.request_schema, DIALOGUE.annex.examples[0].request),
        (DIALOGUE.annex.reply_schema, DIALOGUE.annex.examples[0].reply),
        (DIRECT.annex.request_schema, DIRECT.annex.examples[0].request),
    ):
        assert validator(schema).is_valid({**message, "later": 1})
