"""Ed25519 keys and the forms they are written in. The only module that imports cryptography, and on use."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

from negotiator.errors import MissingExtra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MULTICODEC: Final = b"\xed\x01"
"""Ed25519 public key, as the multicodec table has it."""
_KEY_BYTES: Final = 32
_MAX_BASE58: Final = 128
"""Characters; an Ed25519 signature has 88."""


def require_extra() -> None:
    """Raises `MissingExtra` where keys cannot be used here."""
    _library()


def to_base58(data: bytes) -> str:
    """Bytes in the alphabet of Bitcoin."""
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def from_base58(text: str) -> bytes:
    """The bytes of it. Raises ValueError."""
    if len(text) > _MAX_BASE58:
        raise ValueError("too long for a key or a signature")
    number = 0
    for character in text:
        number = number * 58 + _ALPHABET.index(character)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8)


def to_base64url(data: bytes) -> str:
    """Base64 for URLs, without padding (RFC 4648 5)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """The bytes of it. Raises ValueError, also for a spelling that is not the only one of its bytes."""
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if to_base64url(data) != text:
        raise ValueError("not base64url without padding")
    return data


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key."""

    raw: bytes
    """32 bytes (RFC 8032)."""

    def __post_init__(self) -> None:
        if len(self.raw) != _KEY_BYTES:
            raise ValueError("an Ed25519 public key has 32 bytes")

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data`. Raises `MissingExtra`."""
        # Before the library is asked, so that what it raises has one reason.
        loaded = _loaded(self.raw)
        try:
            loaded.verify(signature, data)
        except Exception as error:
            if type(error).__name__ == "InvalidSignature":
                return False
            raise
        return True

    @property
    def thumbprint(self) -> str:
        """The JWK thumbprint (RFC 7638): 43 characters of base64url."""
        text = f'{{"crv":"Ed25519","kty":"OKP","x":"{to_base64url(self.raw)}"}}'
        return to_base64url(hashlib.sha256(text.encode("ascii")).digest())

    @property
    def multibase(self) -> str:
        """As a Multikey has it: `z6Mk...`."""
        return "z" + to_base58(_MULTICODEC + self.raw)

    @classmethod
    def from_multibase(cls, text: str) -> Self:
        """From a Multikey. Raises ValueError."""
        data = from_base58(text[1:]) if text.startswith("z") else b""
        if not data.startswith(_MULTICODEC):
            raise ValueError("not an Ed25519 key in base58btc")
        return cls(data.removeprefix(_MULTICODEC))

    @classmethod
    def from_jwk(cls, jwk: dict[str, Any]) -> Self:
        """From a JSON Web Key (RFC 8037). Raises ValueError."""
        if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or not isinstance(jwk.get("x"), str):
            raise ValueError("not an Ed25519 key")
        return cls(from_base64url(jwk["x"]))


class PrivateKey:
    """An Ed25519 private key, in this process's memory. Its text form does not show it."""

    __slots__ = ("_key", "public")

    def __init__(self, key: "ed25519.Ed25519PrivateKey") -> None:
        """Take a key of the library; see `generate` and `from_pem`."""
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())
        """The public half."""

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.multibase})"

    def sign(self, data: bytes) -> bytes:
        """64 bytes, the same each time (RFC 8032)."""
        return self._key.sign(data)

    def to_pem(self) -> bytes:
        """PKCS 8 in PEM, not encrypted."""
        from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - an extra, loaded on use

        return self._key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())

    @classmethod
    def generate(cls) -> Self:
        """A new one. Raises `MissingExtra`."""
        return cls(_library().Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """From PKCS 8 in PEM, not encrypted. Raises ValueError, `MissingExtra`."""
        library = _library()
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above

        try:
            key = load_pem_private_key(pem, password=None)
        except (TypeError, ValueError) as error:
            raise ValueError("not a private key in PEM, or one that is encrypted") from error
        if not isinstance(key, library.Ed25519PrivateKey):
            raise ValueError("not an Ed25519 key")  # noqa: TRY004 - what is wrong is the text
        return cls(key)


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - an extra, loaded on use
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("cryptography"):
            raise
        raise MissingExtra(
            'identities need cryptography; install it with: pip install "metaparley[identity]"'
        ) from None
    return ed25519


@lru_cache(maxsize=1024)
def _loaded(raw: bytes) -> "ed25519.Ed25519PublicKey":
    key: ed25519.Ed25519PublicKey = _library().Ed25519PublicKey.from_public_bytes(raw)
    return key
