"""Keys in files: one folder an identity, its owner's alone.

identity.json    the DID, the address, and the public half and state of each key
key-1.pem        a private key (PKCS 8), mode 0600; gone once it is revoked
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict

from negotiator.errors import UsageError
from negotiator.identity.did import Method, did_for, parse_did
from negotiator.identity.ed25519 import PrivateKey, PublicKey
from negotiator.identity.errors import IdentityUnusable
from negotiator.identity.signer import Key, KeyState, retired, revoked
from protocol_docs.errors import StoreUnusable
from protocol_docs.private_place import claim_directory

_RECORD: Final = "identity.json"
_MAX_BYTES: Final = 65_536


class _Key(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    public: str
    state: KeyState


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    did: str
    url: str
    keys: list[_Key]

    def all(self) -> tuple[Key, ...]:
        return tuple(Key(each.name, PublicKey.from_multibase(each.public), each.state) for each in self.keys)


class KeyFiles:
    """A `Signer` over a folder, which other processes may change meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Open what `new` made. Raises `IdentityUnusable`."""
        self._folder = folder
        self._seen: tuple[int, ...] = ()
        self._keys: tuple[Key, ...] = ()
        self._private: dict[str, PrivateKey] = {}
        _claim(folder)
        record = self._read()
        self.did = record.did
        self.url = record.url

    @classmethod
    def new(cls, folder: Path, url: str, *, method: Method = "wba") -> Self:
        """Make an identity for an agent at `url` in a folder that has none.

        Raises `UsageError` where there is one already or no DID can be made, `IdentityUnusable`, `MissingExtra`.
        """
        key = PrivateKey.generate()
        did = did_for(url, key.public, method=method)
        _claim(folder)
        if (folder / _RECORD).exists():
            raise UsageError(f"there is an identity in {folder} already")
        _write_key(folder, "key-1", key)
        _write_record(folder, _Record(did=did, url=url.rstrip("/"), keys=[_row(Key("key-1", key.public))]))
        return cls(folder)

    def all_keys(self) -> tuple[Key, ...]:
        """See `Signer.all_keys`: read again where the file has changed."""
        try:
            found = (self._folder / _RECORD).lstat()
        except OSError as error:
            raise IdentityUnusable(f"{self._folder}: {error.strerror}") from None
        seen = (found.st_ino, found.st_dev, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        if seen != self._seen:
            self._keys = self._read().all()
            self._seen = seen
        return self._keys

    async def sign(self, name: str, data: bytes) -> bytes:
        """See `Signer.sign`."""
        key = next((each for each in self.all_keys() if each.name == name and each.state != "revoked"), None)
        if key is None:
            raise IdentityUnusable(f"there is no key {name} that may sign")
        private = self._private.get(name)
        if private is None or private.public != key.public:
            private = self._private[name] = _read_key(self._folder, key)
        return private.sign(data)

    def rotate(self) -> str:
        """Put a new key in force and retire those before it, in running processes too; returns its name.

        Raises `IdentityUnusable`.
        """
        record = self._read()
        made, name = PrivateKey.generate(), f"key-{len(record.keys) + 1}"
        _write_key(self._folder, name, made)
        self._write((*retired(record.all()), Key(name, made.public)))
        return name

    def revoke(self, name: str) -> None:
        """Let nothing of a key stand, in running processes too, and remove its private half.

        Raises `IdentityUnusable`; `UsageError` for the key that a `did:wba` is bound to, without which it is nobody.
        """
        keys = self._read().all()
        bound = parse_did(self.did).bound_to
        if any(key.name == name and key.public.thumbprint == bound for key in keys):
            raise UsageError("the DID is bound to this key: remove the folder and make a new identity")
        self._write(revoked(keys, name))
        (self._folder / f"{name}.pem").unlink(missing_ok=True)
        self._private.pop(name, None)

    def _write(self, keys: tuple[Key, ...]) -> None:
        _write_record(self._folder, _Record(did=self.did, url=self.url, keys=[_row(key) for key in keys]))

    def _read(self) -> _Record:
        try:
            record = _Record.model_validate_json(_private_bytes(self._folder / _RECORD))
            record.all()
        except ValueError:
            raise IdentityUnusable(f"{self._folder / _RECORD} is not as it was written") from None
        return record


def _row(key: Key) -> _Key:
    return _Key(name=key.name, public=key.public.multibase, state=key.state)


def _claim(folder: Path) -> None:
    try:
        claim_directory(folder)
    except StoreUnusable as error:
        raise IdentityUnusable(str(error)) from error


def _private_bytes(path: Path) -> bytes:
    """Raises `IdentityUnusable` where the file is not there, or not this user's alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            alone = os.name != "posix" or (found.st_uid == os.geteuid() and not found.st_mode & 0o077)
            if not stat.S_ISREG(found.st_mode) or not alone:
                raise IdentityUnusable(f"{path} must be a file of this user's, closed to others (chmod 600)")
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise IdentityUnusable(f"{path}: {error.strerror}") from None


def _read_key(folder: Path, key: Key) -> PrivateKey:
    path = folder / f"{key.name}.pem"
    try:
        private = PrivateKey.from_pem(_private_bytes(path))
    except ValueError as error:
        raise IdentityUnusable(f"{path}: {error}") from None
    if private.public != key.public:
        raise IdentityUnusable(f"{path} holds another key than {_RECORD} says")
    return private


def _write_key(folder: Path, name: str, key: PrivateKey) -> None:
    path = folder / f"{name}.pem"
    try:
        # Where two make the same key at once, one is told so.
        _write_new(path, key.to_pem())
    except FileExistsError:
        raise IdentityUnusable(f"{path} is there already: another process is at work; else remove it") from None
    except OSError as error:
        raise IdentityUnusable(f"{path}: {error.strerror}") from None


def _write_record(folder: Path, record: _Record) -> None:
    path, made = folder / _RECORD, folder / f"{_RECORD}.new"
    try:
        made.unlink(missing_ok=True)
        _write_new(made, record.model_dump_json(indent=1).encode())
        made.replace(path)
    except OSError as error:
        with suppress(OSError):
            made.unlink(missing_ok=True)
        raise IdentityUnusable(f"{path}: {error.strerror}") from None


def _write_new(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
