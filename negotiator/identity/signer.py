"""Where private keys are: a port, a key in memory, and keys in files.

Whoever signs looks at the keys as they stand at that moment, so that a rotation or a revocation is in force with
the next request, in every process that shares them.
"""

from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from negotiator.identity.ed25519 import PrivateKey, PublicKey
from negotiator.identity.errors import IdentityUnusable

KeyState: TypeAlias = Literal["active", "retired", "revoked"]
"""`active`: signs requests; the last one in order is used. `retired`: what it signed as a statement stands, but it
proves no request any more. `revoked`: nothing of it stands."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an identity, without its private half."""

    name: str
    """The fragment of its DID URL, such as `key-1`."""
    public: PublicKey
    state: KeyState = "active"


@runtime_checkable
class Signer(Protocol):
    """Holds private keys and lets none out: files here, a key service elsewhere."""

    def all_keys(self) -> tuple[Key, ...]:
        """All keys as they stand now, oldest first; cheap, since it is asked for each request.

        Raises `IdentityUnusable`.
        """
        ...

    async def sign(self, name: str, data: bytes) -> bytes:
        """The Ed25519 signature of the key `name`. Raises `IdentityUnusable` where it is not there or revoked."""
        ...


class MemorySigner:
    """Keys of this process alone."""

    def __init__(self, *keys: PrivateKey) -> None:
        """Hold `keys`, the last of them active, or a new one where none is given."""
        held = keys or (PrivateKey.generate(),)
        self._private = {f"key-{number}": key for number, key in enumerate(held, 1)}
        self._keys = tuple(Key(name, key.public) for name, key in self._private.items())

    def all_keys(self) -> tuple[Key, ...]:
        """See `Signer.all_keys`."""
        return self._keys

    async def sign(self, name: str, data: bytes) -> bytes:
        """See `Signer.sign`."""
        if not any(key.name == name and key.state != "revoked" for key in self._keys):
            raise IdentityUnusable(f"there is no key {name} that may sign")
        return self._private[name].sign(data)

    def rotate(self, key: PrivateKey | None = None) -> str:
        """Put a new key in force and retire those before it; returns its name."""
        made = key or PrivateKey.generate()
        name = f"key-{len(self._keys) + 1}"
        self._private[name] = made
        self._keys = (*retired(self._keys), Key(name, made.public))
        return name

    def revoke(self, name: str) -> None:
        """Let nothing of a key stand. Raises `IdentityUnusable`."""
        self._keys = revoked(self._keys, name)
        del self._private[name]


def retired(keys: tuple[Key, ...]) -> tuple[Key, ...]:
    """The keys with all active ones retired."""
    return tuple(replace(key, state="retired") if key.state == "active" else key for key in keys)


def revoked(keys: tuple[Key, ...], name: str) -> tuple[Key, ...]:
    """The keys with one revoked. Raises `IdentityUnusable` where it is not there, or the only one that is active."""
    if not any(key.name == name and key.state != "revoked" for key in keys):
        raise IdentityUnusable(f"there is no key {name} to revoke")
    left = tuple(replace(key, state="revoked") if key.name == name else key for key in keys)
    if not any(key.state == "active" for key in left):
        raise IdentityUnusable(f"{name} is the only key in force: rotate first")
    return left


async def check_signer(signer: Signer) -> None:
    """Fails with `AssertionError` where a `Signer` does not do what the port says."""
    keys = signer.all_keys()
    active = [key for key in keys if key.state == "active"]
    assert active, "one key at least is active"  # noqa: S101 - a conformance check
    assert len({key.name for key in keys}) == len(keys), "names are told apart"  # noqa: S101
    signature = await signer.sign(active[-1].name, b"what is signed")
    assert active[-1].public.verify(signature, b"what is signed"), "the signature is the key's"  # noqa: S101
    assert not active[-1].public.verify(signature, b"what is not signed"), "and of this text alone"  # noqa: S101
    for name in ("no-such-key", *(key.name for key in keys if key.state == "revoked")):
        try:
            await signer.sign(name, b"what is signed")
        except IdentityUnusable:
            continue
        raise AssertionError(f"nothing is signed with {name}")
