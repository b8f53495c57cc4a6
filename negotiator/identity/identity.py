"""One agent's identity: its DID, its address, and the keys it proves both with."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import orjson

from negotiator.clock import Clock, SystemClock
from negotiator.identity import proofs
from negotiator.identity.did import Did, Method, did_for, make_document, parse_did
from negotiator.identity.ed25519 import require_extra
from negotiator.identity.errors import IdentityUnusable
from negotiator.identity.key_files import KeyFiles
from negotiator.identity.signer import Key, MemorySigner, Signer
from negotiator.jsonvalue import JsonObject


class Identity:
    """Who an agent is.

    Example:
        ```python
        agent = Agent(identity=Identity.open("~/.local/state/negotiator/identity"))
        ```
    """

    def __init__(self, did: str, url: str, signer: Signer, *, clock: Clock | None = None) -> None:
        """Be `did`, an agent at `url`, with the keys of `signer`; see also `open`, `new` and `in_memory`.

        Raises `MalformedDid`, `MissingExtra`, and `IdentityUnusable` where the DID is bound to a key that `signer` does
        not have.
        """
        require_extra()
        self.did = did
        self.url = url.rstrip("/")
        """The address that callers use; what they sign names it."""
        self.parsed: Did = parse_did(did)
        self._signer = signer
        self._clock = clock or SystemClock()
        self._made: tuple[tuple[Key, ...], bytes] | None = None
        self._binding(signer.all_keys())

    @classmethod
    def open(cls, folder: str | Path, *, clock: Clock | None = None) -> Self:
        """The identity whose keys lie in a folder. Raises `IdentityUnusable`."""
        files = KeyFiles(Path(folder).expanduser())
        return cls(files.did, files.url, files, clock=clock)

    @classmethod
    def new(cls, folder: str | Path, url: str, *, method: Method = "wba", clock: Clock | None = None) -> Self:
        """Make one in a folder, for an agent at `url`. Raises `UsageError`, `IdentityUnusable`, `MissingExtra`."""
        files = KeyFiles.new(Path(folder).expanduser(), url, method=method)
        return cls(files.did, files.url, files, clock=clock)

    @classmethod
    def in_memory(
        cls, url: str, *, method: Method = "wba", signer: Signer | None = None, clock: Clock | None = None
    ) -> Self:
        """Make one of `signer`'s oldest key, or of a key that ends with this process. Raises as `new`."""
        held = signer or MemorySigner()
        return cls(did_for(url, held.all_keys()[0].public, method=method), url, held, clock=clock)

    def __repr__(self) -> str:
        return f"Identity({self.did!r})"

    @property
    def key_id(self) -> str:
        """The DID URL of the key that signs the next request. Raises `IdentityUnusable`."""
        return f"{self.did}#{self._active().name}"

    async def sign(self, data: bytes, *, key_id: str) -> bytes:
        """The signature of the key of that DID URL. Raises `IdentityUnusable`."""
        did, _, name = key_id.partition("#")
        if did != self.did:
            raise IdentityUnusable(f"{key_id} is not a key of {self.did}")
        return await self._signer.sign(name, data)

    async def document(self) -> bytes:
        """The DID document as JSON, with its proof; made anew when the keys have changed.

        Raises `IdentityUnusable`.
        """
        keys = self._signer.all_keys()
        if self._made is None or self._made[0] != keys:
            by = self._binding(keys)
            bare = make_document(self.did, self.url, keys)
            self._made = keys, orjson.dumps(await self._stated(bare, by))
        return self._made[1]

    async def state(self, statement: JsonObject, **options: str) -> JsonObject:
        """A statement with a proof by this identity, such as an agent's description. Raises `IdentityUnusable`.

        `options` are signed with it, such as the `domain` that it is made for.
        """
        return await self._stated(statement, self._active(), options)

    async def _stated(self, statement: JsonObject, by: Key, options: Mapping[str, str] | None = None) -> JsonObject:
        created = datetime.fromtimestamp(self._clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        proof = {**proofs.options(f"{self.did}#{by.name}", created), **(options or {})}
        signature = await self._signer.sign(by.name, proofs.signing_input(statement, proof))
        return proofs.with_value(statement, proof, signature)

    def _active(self) -> Key:
        active = [key for key in self._signer.all_keys() if key.state == "active"]
        if not active:
            raise IdentityUnusable(f"{self.did} has no key in force")
        return active[-1]

    def _binding(self, keys: tuple[Key, ...]) -> Key:
        """The key that proves the document: the one that the DID is bound to, else the one in force."""
        bound = self.parsed.bound_to
        if bound is None:
            return self._active()
        for key in keys:
            if key.public.thumbprint == bound and key.state != "revoked":
                return key
        raise IdentityUnusable(f"the key that {self.did} is bound to is not there")
