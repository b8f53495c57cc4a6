"""Protocol artifacts (ANP-06 10.2): our documents for peers of ANP, and theirs as documents. Pure.

The digest of an artifact of ours is the hash of the document that it carries; methods, schemas, examples and test cases
are read off that document, and held against it when they come in. An artifact without a document has its digest over
the canonical JSON of itself without digest and proof; its schemas must then be inside it, or nothing would vouch for
them. Whatever an artifact holds that is not known here, code above all, is a reason to refuse it (12.5).
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes, urlsplit

import orjson

from negotiator.dialects.anp.negotiating import digest_of, read_digest, spelt
from negotiator.dialects.anp.words import ARTIFACTS, CORE, DOCUMENT, JSON, PROFILES, TRANSPORT_PROTECTED
from negotiator.dialects.json_body import MAX_DEPTH, read_object
from negotiator.dialects.peer_tool import drafted_tool
from negotiator.errors import PeerError
from negotiator.jsonvalue import JsonObject, JsonValue
from protocol_docs.annex import Annex, AnnexProblem, validator
from protocol_docs.document import ProtocolDocument
from protocol_docs.errors import DocumentError, MalformedHash
from protocol_docs.strict_json import canonical

MAX_BYTES: Final = 1_048_576
"""Bytes of an artifact that is read."""
MAX_TESTS: Final = 256
_KNOWN: Final = frozenset(
    {
        "content_types",
        "depends_on_profiles",
        "description",
        "digest",
        "document",
        "examples",
        "methods",
        "proof",
        "protocol_id",
        "protocol_uri",
        "publisher",
        "security_profiles",
        "tests",
        "version",
    }
)
_OF_METHODS: Final = frozenset(
    {
        "description",
        "effect",
        "name",
        "request_schema",
        "request_schema_uri",
        "response_schema",
        "response_schema_uri",
    }
)
_OF_EXAMPLES: Final = frozenset({"description", "method", "name", "request", "response"})
_OF_TESTS: Final = frozenset({"description", "method", "name", "request", "valid"})


class Check(Protocol):
    """Whether a value fits a schema."""

    def is_valid(self, value: Any, /) -> bool:
        """Whether it does."""
        ...


class ArtifactRefused(PeerError):
    """An artifact that is not what its digest says, or holds what must not be in one."""

    code = "artifact_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact that may be used."""

    document: ProtocolDocument
    """Its own, or one drafted from its one method's schemas."""
    digest: str
    """`sha256:<hex>`."""
    method: str
    """What is called."""
    publisher: str | None = None
    """Who says to have published it: a DID that a proof has still to bear out."""


def method_of(document: ProtocolDocument) -> str:
    """The method that is a call under a document."""
    return DOCUMENT + document.hash.removeprefix("sha256:")


def exportable(document: ProtocolDocument) -> bool:
    """Whether a document can be called by name: its request is an object."""
    annex = document.annex
    if annex is None or annex.request_schema is None or annex.reply_schema is None:
        return False
    return annex.request_schema.get("type") == "object"


def write_artifact(document: ProtocolDocument, base: str, publisher: str | None = None) -> JsonObject:
    """The artifact of an `exportable` document, for an agent at `base`; still without proof."""
    annex, digest = document.annex or Annex(), spelt(document.hash)
    method, place = method_of(document), f"{base}{ARTIFACTS}{digest}"
    made: JsonObject = {
        "protocol_id": f"document.{document.hash.removeprefix('sha256:')[:16]}",
        "protocol_uri": f"{base}/documents/{document.hash}",
        "version": "1.0",
        "description": document.description or document.name,
        "depends_on_profiles": [CORE],
        "methods": [
            {
                "name": method,
                "description": document.name,
                "effect": annex.effect or "transactional",
                "request_schema_uri": f"{place}/request.json",
                "response_schema_uri": f"{place}/response.json",
                "request_schema": annex.request_schema,
                "response_schema": annex.reply_schema,
            }
        ],
        "content_types": [JSON],
        "security_profiles": [TRANSPORT_PROTECTED],
        "examples": [{"method": method, "request": each.request, "response": each.reply} for each in annex.examples],
        "tests": _tests(annex, method),
        "document": document.text,
        "digest": digest,
    }
    return made if publisher is None else {**made, "publisher": publisher}


def _tests(annex: Annex, method: str) -> list[JsonObject]:
    """What the request schema takes and does not: each example, and the first of them without each required member."""
    schema = annex.request_schema or {}
    check = validator(schema)
    made: list[JsonObject] = [
        {"name": f"example {number}", "method": method, "request": each.request, "valid": True}
        for number, each in enumerate(annex.examples, 1)
    ]
    first = annex.examples[0].request if annex.examples else None
    whole: dict[str, Any] = first if isinstance(first, dict) else {}
    for member in schema.get("required", []) if whole else []:
        lacking = {name: value for name, value in whole.items() if name != member}
        if not check.is_valid(lacking):
            made.append({"name": f"without {member}", "method": method, "request": lacking, "valid": False})
    return made[:MAX_TESTS]


def read_artifact(data: bytes | JsonObject, *, wanted: str | None = None) -> Artifact:
    """Check an artifact; `wanted` is the hash that it was asked for by. Raises `ArtifactRefused`."""
    value = _read(data)
    _only(value, _KNOWN, "the artifact")
    digest = _digest(value)
    if wanted is not None and digest != wanted:
        raise ArtifactRefused("the artifact has another digest than the one that was selected")
    _suits(value)
    methods = [_object(each, _OF_METHODS, "a method") for each in _list(value, "methods")]
    if len(methods) != 1 or not isinstance(methods[0].get("name"), str):
        raise ArtifactRefused("the artifact has no method, or several, of which one would have to be chosen")
    given = value.get("document")
    if given is not None:
        document = _carried(given, digest)
    elif digest != read_digest(digest_of({name: each for name, each in value.items() if name not in _UNSIGNED})):
        raise ArtifactRefused("the artifact is not what its digest says")
    else:
        document = _drafted(value, methods[0])
    artifact = Artifact(
        document=document, digest=digest, method=methods[0]["name"], publisher=_did(value.get("publisher"))
    )
    if given is not None and artifact.method != method_of(document):
        raise ArtifactRefused("the artifact's method is not the one of its document")
    _agrees(value, methods[0], artifact)
    return artifact


_UNSIGNED: Final = frozenset({"digest", "proof"})


def _read(data: bytes | JsonObject) -> JsonObject:
    whole = data if isinstance(data, bytes) else orjson.dumps(data)
    if len(whole) > MAX_BYTES:
        raise ArtifactRefused(f"an artifact of more than {MAX_BYTES} bytes")
    try:
        return read_object(whole, max_depth=MAX_DEPTH)
    except ValueError as error:
        raise ArtifactRefused(f"the artifact cannot be read: {error}") from None


def _digest(value: JsonObject) -> str:
    digest = value.get("digest")
    try:
        found = read_digest(digest if isinstance(digest, str) else "")
    except MalformedHash:
        raise ArtifactRefused("the artifact has no digest") from None
    if not found.startswith("sha256:"):
        raise ArtifactRefused("the artifact's digest is no SHA-256")
    return found


def _carried(given: JsonValue, digest: str) -> ProtocolDocument:
    try:
        document = ProtocolDocument.from_text(given if isinstance(given, str) else "")
    except DocumentError as error:
        raise ArtifactRefused("the artifact's document cannot be read") from error
    if document.hash != digest:
        raise ArtifactRefused("the artifact's document is not the one of its digest")
    if not exportable(document):
        raise ArtifactRefused("the artifact's document has no schemas of its bodies")
    return document


def _drafted(value: JsonObject, method: JsonObject) -> ProtocolDocument:
    takes, gives = _schema(method, "request"), _schema(method, "response")
    effect = method.get("effect", "transactional")
    tool = drafted_tool(
        method["name"],
        method.get("description") or value.get("description"),
        takes=takes,
        gives=gives,
        effect="safe" if effect == "safe" else "transactional",
    )
    if tool is None:
        raise ArtifactRefused("the artifact's schemas are none that stand for themselves")
    return tool.document


def _schema(method: JsonObject, half: str) -> JsonObject:
    inline, uri = method.get(f"{half}_schema"), method.get(f"{half}_schema_uri")
    if isinstance(inline, dict):
        return inline
    if isinstance(uri, str) and uri.startswith("data:"):
        head, _, body = uri.partition(",")
        try:
            data = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
            return read_object(data)
        except ValueError:
            raise ArtifactRefused(f"the artifact's {half} schema cannot be read") from None
    raise ArtifactRefused(f"the digest does not cover the {half} schema: it is somewhere else")


def _suits(value: JsonObject) -> None:
    """What an artifact needs must be here, and what it is sent under what is selected."""
    strange = [each for each in _list(value, "depends_on_profiles") if each not in PROFILES]
    if strange:
        raise ArtifactRefused(f"the artifact depends on what is not spoken here: {str(strange[0])[:100]}")
    for word, needed in (("security_profiles", TRANSPORT_PROTECTED), ("content_types", JSON)):
        said = _list(value, word)
        if said and needed not in said:
            raise ArtifactRefused(f"the artifact's {word} have nothing that is spoken here")
    for word in ("protocol_uri",):
        uri = value.get(word)
        if uri is not None and (
            not isinstance(uri, str) or urlsplit(uri).scheme not in ("http", "https", "urn", "did")
        ):
            raise ArtifactRefused(f"the artifact's {word} leads where it must not")


def _agrees(value: JsonObject, method: JsonObject, artifact: Artifact) -> None:
    """What stands beside the document says the same as it, and holds."""
    annex = artifact.document.annex or Annex()
    carried = value.get("document") is not None
    for half, schema in (("request", annex.request_schema), ("response", annex.reply_schema)):
        _check_schema(method, half, schema if carried else None)
    if carried and method.get("effect", annex.effect) not in (annex.effect, "transactional"):
        raise ArtifactRefused("the artifact's effect is not the one of its document")
    try:
        takes, gives = validator(annex.request_schema or {}), validator(annex.reply_schema or {})
    except AnnexProblem as error:
        raise ArtifactRefused(f"the artifact's schemas cannot be used: {error}") from None
    for each in _list(value, "examples"):
        _check_example(_object(each, _OF_EXAMPLES, "an example"), annex, takes, gives, carried=carried)
    for each in _list(value, "tests"):
        test = _object(each, _OF_TESTS, "a test case")
        if takes.is_valid(test.get("request")) is not (test.get("valid") is True):
            raise ArtifactRefused(f"a test case of the artifact fails: {str(test.get('name'))[:100]}")


def _check_schema(method: JsonObject, half: str, schema: JsonObject | None) -> None:
    """A method's schema leads nowhere that it must not, and is that of the document, where there is one."""
    uri, inline = method.get(f"{half}_schema_uri"), method.get(f"{half}_schema")
    if uri is not None and (not isinstance(uri, str) or urlsplit(uri).scheme not in ("http", "https", "data")):
        raise ArtifactRefused(f"the artifact's {half} schema leads where it must not")
    if schema is not None and inline is not None and canonical(inline) != canonical(schema):
        raise ArtifactRefused(f"the artifact's {half} schema is not the one of its document")


def _check_example(example: JsonObject, annex: Annex, takes: Check, gives: Check, *, carried: bool) -> None:
    request, response = example.get("request"), example.get("response")
    answers = gives.is_valid(response) or annex.error_in(response) is not None
    if not takes.is_valid(request) or not answers:
        raise ArtifactRefused("an example of the artifact does not fit its schemas")
    if carried and canonical([request, response]) not in {
        canonical([one.request, one.reply]) for one in annex.examples
    }:
        raise ArtifactRefused("an example of the artifact is none of its document's")


def _only(value: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    strange = sorted(set(value) - known)
    if strange:
        raise ArtifactRefused(f"{what} holds something that is not known here: {strange[0][:100]!r}")


def _object(value: JsonValue, known: frozenset[str], what: str) -> JsonObject:
    if not isinstance(value, dict):
        raise ArtifactRefused(f"{what} of the artifact is no object")
    _only(value, known, what)
    return value


def _list(value: JsonObject, name: str) -> list[Any]:
    found = value.get(name, [])
    if not isinstance(found, list) or len(found) > MAX_TESTS:
        raise ArtifactRefused(f"the artifact's {name} are no list, or too many")
    return found


def _did(value: JsonValue) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.startswith("did:"):
        raise ArtifactRefused("the artifact's publisher is no DID")
    return value
