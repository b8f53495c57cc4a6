"""Signatures of tokens. The only module that imports PyJWT, and on use; the primitives are cryptography's."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from negotiator.dialects.json_body import read_object
from negotiator.errors import MissingExtra
from negotiator.identity.ed25519 import from_base64url
from negotiator.jsonvalue import JsonObject
from negotiator.oauth.errors import TokenRefused

ALGORITHMS: Final = ("ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""Of public keys, all of them: with a shared secret whoever checks a token could make one."""
_KINDS: Final = {"ES": "EC", "Ed": "OKP", "PS": "RSA", "RS": "RSA"}
_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
_PARTS: Final = 3
_LEAST_RSA_BITS: Final = 2048


def require_extra() -> None:
    """Raises `MissingExtra` where signatures cannot be used here."""
    _library()


def looks_signed(token: str) -> bool:
    """Whether a text has the form of a signed token, so that it is worth looking for its key."""
    return token.count(".") == _PARTS - 1


def verified(token: str, keys: Sequence[Mapping[str, Any]], algorithms: Sequence[str]) -> JsonObject:
    """The claims of a token that one of `keys` (JWKs) signed; what they mean is not looked at.

    Raises:
        UnknownKey: none of the keys is the one that the token names.
        TokenRefused: it is no signed token, of an algorithm that is not among `algorithms`, or its signature is wrong.
    """
    library = _library()
    header = header_of(token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise TokenRefused("invalid_token", "the token is signed with an algorithm that is not taken here")
    kind = header.get("typ", "")
    if not isinstance(kind, str) or kind.lower() not in _TYPES or "crit" in header or "b64" in header:
        raise TokenRefused("invalid_token", "the token is of a kind that is not taken here")
    key = _chosen(keys, header.get("kid"), algorithm)
    try:
        made = library.PyJWK(dict(key), algorithm=algorithm)
        if getattr(made.key, "key_size", _LEAST_RSA_BITS) < _LEAST_RSA_BITS and key.get("kty") == "RSA":
            raise TokenRefused("invalid_token", "the key of the token is too short")
        payload = library.PyJWS().decode_complete(token, made, algorithms=[algorithm])["payload"]
        return read_object(payload)
    except (library.PyJWTError, ValueError, TypeError, NotImplementedError):
        raise TokenRefused("invalid_token", "the signature of the token does not hold") from None


def signed(claims: JsonObject, key: str, algorithm: str, key_id: str | None) -> str:
    """A token with `claims`, signed with a private key in PEM. Raises ValueError for a key that is none."""
    library = _library()
    if algorithm not in ALGORITHMS:
        raise ValueError("not an algorithm of public keys")
    try:
        headers = {"typ": "JWT"} | ({} if key_id is None else {"kid": key_id})
        text: str = library.PyJWS().encode(orjson.dumps(claims), key, algorithm=algorithm, headers=headers)
    except (library.PyJWTError, TypeError):
        raise ValueError("the key cannot sign that") from None
    return text


class UnknownKey(TokenRefused):
    """A token names a key that is not among those that are known; it may be new."""

    def __init__(self) -> None:
        super().__init__("invalid_token", "the token is signed with a key that is not its issuer's")


def header_of(token: str) -> JsonObject:
    """What a token says of its signature, which proves nothing. Raises `TokenRefused`."""
    return _part(token, 0)


def claims_of(token: str) -> JsonObject:
    """What a token says, unproved. Raises `TokenRefused`."""
    return _part(token, 1)


def _part(token: str, number: int) -> JsonObject:
    parts = token.split(".")
    try:
        return read_object(from_base64url(parts[number] if len(parts) == _PARTS else ""))
    except ValueError:
        raise TokenRefused("invalid_token", "the token is no signed token") from None


def _chosen(keys: Sequence[Mapping[str, Any]], key_id: object, algorithm: str) -> Mapping[str, Any]:
    """The one key that fits; a token that names none is taken where there is one alone that it could be."""
    fitting = [
        key
        for key in keys
        if key.get("kty") == _KINDS[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (key_id is None or key.get("kid") == key_id)
    ]
    if len(fitting) != 1:
        raise UnknownKey
    return fitting[0]


def _library() -> Any:
    try:
        import jwt  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra('OAuth needs the extra: pip install "metaparley[oauth]"') from error
    return jwt
