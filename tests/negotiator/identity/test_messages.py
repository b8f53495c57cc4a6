"""HTTP Message Signatures: what is signed, what must be covered, and what a change of anything does."""

import base64
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from hypothesis import given
from hypothesis import strategies as st

from negotiator.identity.ed25519 import PrivateKey, PublicKey
from negotiator.identity.errors import NotProven
from negotiator.identity.messages import (
    Message,
    Signature,
    Terms,
    authority_of,
    check_covered,
    check_signature,
    check_time,
    read_signature,
    signature_fields,
    signing_input,
    to_sign,
)
from negotiator.identity.structured_fields import Member, parse_dictionary, write_member

KEY = PrivateKey.generate()
KEY_ID = "did:web:caller.example#key-1"
NOW = 1_800_000_000
TARGET = "https://weather.example/agents?day=1"
TERMS = Terms(created=NOW, expires=NOW + 300, nonce="n-1", key_id=KEY_ID)
MESSAGE = Message(method="POST", target=TARGET, headers={"content-type": "application/json"}, body=b'{"a": 1}')


def signed(message: Message = MESSAGE, terms: Terms = TERMS, key: PrivateKey = KEY) -> Message:
    fields, line, base = to_sign(message, terms)
    headers = {**message.headers, **fields, **signature_fields(line, key.sign(base))}
    return replace(message, headers=headers)


def check(message: Message, *, now: float = NOW, key: PublicKey = KEY.public, target: str = TARGET) -> Signature:
    signature = read_signature(message.headers)
    assert signature is not None
    check_covered(signature, message)
    check_time(signature.terms, now)
    check_signature(signature, message, [target], key)
    return signature


def refusal(message: Message, **options: Any) -> str:
    with pytest.raises(NotProven) as refused:
        check(message, **options)
    return refused.value.error


# --- RFC 9421, B.2.6 ---

RFC_KEY = PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"})
RFC_MESSAGE = Message(
    method="POST",
    target="https://example.com/foo?param=Value&Pet=dog",
    headers={
        "date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "content-type": "application/json",
        "content-length": "18",
    },
    body=b'{"hello": "world"}',
)
RFC_INPUT = (
    '("date" "@method" "@path" "@authority" "content-type" "content-length")'
    ';created=1618884473;keyid="test-key-ed25519"'
)
RFC_SIGNATURE = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="


def test_the_signature_of_the_rfcs_own_example_is_its_keys() -> None:
    member = parse_dictionary(f"sig-b26={RFC_INPUT}")["sig-b26"]
    assert write_member(member) == RFC_INPUT
    assert isinstance(member.value, tuple)
    base = signing_input(RFC_MESSAGE, member.value, write_member(member))
    assert RFC_KEY.verify(base64.b64decode(RFC_SIGNATURE), base)
    pem = (
        b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
        b"-----END PRIVATE KEY-----\n"
    )
    assert base64.b64encode(PrivateKey.from_pem(pem).sign(base)).decode() == RFC_SIGNATURE


# --- another's implementation ---


@dataclass
class _Request:
    method: str
    url: str
    headers: dict[str, str]


class _OneKey(HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id: str) -> Any:
        return KEY._key

    def resolve_public_key(self, key_id: str) -> Any:
        return KEY._key.public_key()


class _AtThatTime(HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """It reads the machine's clock."""


_METHODS = st.sampled_from(["GET", "POST", "DELETE"])
_TARGETS = st.builds(
    lambda host, path, query: f"https://{host}/{path}{query}",
    st.sampled_from(["a.example", "a.example:8443", "localhost:80"]),
    st.text("abz/-._~%20", max_size=12).map(lambda text: text.replace("%", "")),
    st.sampled_from(["", "?", "?q=1&r=%20"]),
)
_NONCES = st.text("abcXYZ019-_\\\"' ", min_size=1, max_size=20)


@given(_METHODS, _TARGETS, st.binary(max_size=64), _NONCES)
def test_anothers_verifier_takes_our_signatures(method: str, target: str, body: bytes, nonce: str) -> None:
    ours = signed(Message(method=method, target=target, headers={}, body=body), replace(TERMS, nonce=nonce))
    verifier = _AtThatTime(signature_algorithm=algorithms.ED25519, key_resolver=_OneKey())
    required = ("@method", "@target-uri", "@authority", *(["content-digest"] if body else []))
    request = _Request(method, target, dict(ours.headers))
    (result,) = verifier.verify(request, body=body, max_age=None, require_components=required)
    assert result.nonce == nonce
    with pytest.raises(InvalidSignature):
        verifier.verify(_Request(method, target + "x", dict(ours.headers)), body=body, max_age=None)


@given(_METHODS, _TARGETS, st.binary(min_size=1, max_size=64), _NONCES)
def test_we_take_anothers_signatures(method: str, target: str, body: bytes, nonce: str) -> None:
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=_OneKey())
    request = _Request(method, target, {"Content-Type": "text/plain"})
    signer.sign(
        request,
        key_id=KEY_ID,
        created=datetime.fromtimestamp(NOW, UTC),
        expires=datetime.fromtimestamp(NOW + 60, UTC),
        nonce=nonce,
        covered_component_ids=("@method", "@target-uri", "@authority", "@path", "@query", "content-type"),
        body=body,
    )
    headers = {name.lower(): value for name, value in request.headers.items()}
    theirs = Message(method=method, target=target, headers=headers, body=body)
    assert check(theirs, target=target).terms.nonce == nonce


# --- what was changed is refused ---


def test_what_was_not_changed_is_taken() -> None:
    assert check(signed()).terms == TERMS
    assert check(signed(replace(MESSAGE, body=b"", method="GET"))).components == (
        "@method",
        "@target-uri",
        "@authority",
    )


def test_another_method_is_refused() -> None:
    assert refusal(replace(signed(), method="PUT")) == "invalid_signature"


@pytest.mark.parametrize(
    "target", ["https://weather.example/agents?day=2", "https://other.example/agents?day=1", TARGET + "/"]
)
def test_another_target_is_refused(target: str) -> None:
    assert refusal(signed(), target=target) == "invalid_signature"


def test_another_key_is_refused() -> None:
    assert refusal(signed(), key=PrivateKey.generate().public) == "invalid_signature"


@given(st.integers(0, 7), st.integers(1, 255))
def test_another_body_is_refused(at: int, by: int) -> None:
    body = bytearray(MESSAGE.body)
    body[at] ^= by
    assert refusal(replace(signed(), body=bytes(body))) == "invalid_content_digest"


def test_a_body_with_a_digest_of_its_own_is_refused() -> None:
    other = signed(replace(MESSAGE, body=b"{}"))
    mixed = {**signed().headers, "content-digest": other.headers["content-digest"]}
    assert refusal(replace(signed(), body=b"{}", headers=mixed)) == "invalid_signature"


def test_a_body_where_none_was_signed_is_refused() -> None:
    assert refusal(replace(signed(replace(MESSAGE, body=b"")), body=b"{}")) == "invalid_request"


@pytest.mark.parametrize("name", ["created", "expires", "nonce", "keyid"])
def test_changed_terms_are_refused(name: str) -> None:
    message = signed()
    member = parse_dictionary(message.headers["signature-input"])["sig1"]
    value = member.parameters[name]
    changed = {**member.parameters, name: value - 1 if isinstance(value, int) else str(value) + "x"}
    headers = {**message.headers, "signature-input": f"sig1={write_member(Member(member.value, changed))}"}
    assert refusal(replace(message, headers=headers)) in ("invalid_signature", "invalid_timestamp")


@pytest.mark.parametrize("name", ["@method", "@target-uri", "content-digest"])
def test_a_signature_that_leaves_something_open_is_refused_though_it_is_the_keys(name: str) -> None:
    fields, line, _ = to_sign(MESSAGE, TERMS)
    member = parse_dictionary(f"sig1={line}")["sig1"]
    assert isinstance(member.value, tuple)
    components = tuple(each for each in member.value if each != name)
    line = write_member(Member(components, member.parameters))
    message = replace(MESSAGE, headers={**MESSAGE.headers, **fields})
    value = KEY.sign(signing_input(message, components, line))
    assert refusal(replace(message, headers={**message.headers, **signature_fields(line, value)})) == "invalid_request"


@given(st.randoms(use_true_random=False))
def test_one_changed_character_of_a_signed_field_is_never_taken(chance: random.Random) -> None:
    message = signed()
    name = chance.choice(["signature", "signature-input", "content-digest"])
    value = message.headers[name]
    at = chance.randrange(len(value))
    other = chance.choice([each for each in 'aA0 =;:"()?' if each != value[at]])
    headers = {**message.headers, name: value[:at] + other + value[at + 1 :]}
    try:
        taken = check(replace(message, headers=headers))
    except NotProven:
        return
    # A label is not signed; the space between two items may be more than one.
    assert (taken.components, taken.terms) == (check(message).components, TERMS)


# --- when ---


@pytest.mark.parametrize(
    ("terms", "now"),
    [
        (TERMS, NOW - 31),
        (TERMS, NOW + 300),
        (replace(TERMS, expires=NOW + 301), NOW),
        (replace(TERMS, expires=NOW), NOW),
        (replace(TERMS, expires=NOW - 1), NOW - 2),
        (replace(TERMS, expires=10**14), NOW + 301),
    ],
    ids=["of the future", "expired", "too long", "no life", "ends before it begins", "old"],
)
def test_out_of_its_time_a_signature_is_refused(terms: Terms, now: float) -> None:
    assert refusal(signed(terms=terms), now=now) == "invalid_timestamp"


@pytest.mark.parametrize("now", [NOW - 30, NOW, NOW + 299.9])
def test_within_its_time_it_is_taken(now: float) -> None:
    assert check(signed(), now=now)


# --- forms ---


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"signature": None}, "invalid_request"),
        ({"signature-input": None}, "invalid_request"),
        ({"signature": "sig2=:AAAA:"}, "invalid_request"),
        ({"signature": "sig1=1"}, "invalid_request"),
        ({"signature-input": 'sig1="@method"'}, "invalid_request"),
        ({"signature-input": "sig1=()"}, "invalid_verification_method"),
        ({"signature-input": 'sig1=("@method" "@method");keyid="did:web:a#k";nonce="1";created=1'}, "invalid_request"),
        ({"signature-input": 'sig1=("@Method");keyid="did:web:a#k";nonce="1";created=1'}, "invalid_request"),
        ({"signature-input": 'sig1=("@method";req);keyid="did:web:a#k";nonce="1";created=1'}, "invalid_request"),
        ({"signature-input": 'sig1=("@method");keyid="did:web:a#k";nonce="1";created=?1'}, "invalid_timestamp"),
        ({"signature-input": 'sig1=("@method");keyid="did:web:a#k";nonce="1";created="1"'}, "invalid_timestamp"),
        ({"signature-input": 'sig1=("@method");keyid="did:web:a#k";created=1'}, "invalid_nonce"),
        ({"signature-input": f'sig1=("@method");keyid="did:web:a#k";created=1;nonce="{"n" * 129}"'}, "invalid_nonce"),
        ({"signature-input": 'sig1=("@method");keyid="key";nonce="1";created=1'}, "invalid_verification_method"),
        (
            {"signature-input": 'sig1=("@method");alg="hmac-sha256";keyid="did:web:a#k";nonce="1";created=1'},
            "invalid_verification_method",
        ),
        ({"signature-input": 'sig1=("@method");x=1;keyid="did:web:a#k";nonce="1";created=1'}, "invalid_request"),
        ({"signature-input": "sig1=(" + '"a" ' * 5000}, "invalid_request"),
    ],
)
def test_fields_of_another_form_are_refused_in_the_words_of_anp_02(changed: dict[str, Any], error: str) -> None:
    headers = {name: value for name, value in {**signed().headers, **changed}.items() if value is not None}
    assert refusal(replace(signed(), headers=headers)) == error


@pytest.mark.parametrize(
    ("digest", "error"),
    [
        ("sha-256=:AAAA:", "invalid_content_digest"),
        ("md5=:AAAA:", "invalid_content_digest"),
        ("sha-256", "invalid_content_digest"),
        ("", "invalid_content_digest"),
    ],
)
def test_a_digest_that_says_nothing_of_the_body_is_refused(digest: str, error: str) -> None:
    headers = {**signed().headers, "content-digest": digest}
    assert refusal(replace(signed(), headers=headers)) == error


def test_no_signature_is_no_error() -> None:
    assert read_signature({"content-type": "text/plain"}) is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_a_signature_or_is_refused(first: str, second: str) -> None:
    try:
        read_signature({"signature-input": first, "signature": second})
    except NotProven:
        return


@given(
    st.dictionaries(
        st.from_regex(r"[a-z*][a-z0-9_.*-]{0,9}", fullmatch=True),
        st.builds(
            Member,
            st.binary(max_size=20)
            | st.integers(-(10**15) + 1, 10**15 - 1)
            | st.booleans()
            | st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=9), max_size=4).map(tuple),
            st.dictionaries(
                st.from_regex(r"[a-z*][a-z0-9_.*-]{0,9}", fullmatch=True),
                st.booleans()
                | st.integers(-5, 5)
                | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=9),
                max_size=3,
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_written_is_read_as_the_same(members: dict[str, Member]) -> None:
    text = ", ".join(f"{key}={write_member(member)}" for key, member in members.items())
    assert parse_dictionary(text) == members


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        ("https://A.example/x", "a.example"),
        ("https://a.example:443/", "a.example"),
        ("http://a.example:443/", "a.example:443"),
        ("http://[::1]:8000/", "[::1]:8000"),
    ],
)
def test_an_authority_is_written_as_the_rfc_has_it(target: str, authority: str) -> None:
    assert authority_of(target) == authority
