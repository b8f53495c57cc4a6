"""Files by reference: what travels is a hash and an address, and no model reads or writes a byte of them.

GET /files/{hash}    the exact bytes of a file that this agent was given to hand on, by `sha256:<hex>`

Whoever knows a file's hash may have it, as with a link that nobody can guess; the trust policy says who is heard at all.
"""

import asyncio
import hashlib
import os
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import quote
from weakref import WeakKeyDictionary, WeakValueDictionary

from pydantic import BaseModel, ConfigDict, Field, model_validator

from negotiator.bounded import keep
from negotiator.errors import BadInput, UsageError
from negotiator.wire import Door, WireReply, WireRequest, origin_of
from protocol_docs.errors import DocumentError

PATH: Final = "/files"
MAX_FILE_BYTES: Final = 64 * 1_048_576
"""Bytes of one file, kept or fetched."""
MAX_KEPT_BYTES: Final = 1_024 * 1_048_576
"""Bytes of all files that one agent keeps."""
AT_ONCE: Final = 8
"""Files that are fetched at a time."""
OF_ONE_HOST: Final = 4
"""Of them, from one origin."""
PART_BYTES: Final = 262_144
"""Bytes of a file that are held for one who takes it."""
_MAX_SEEN: Final = 4_096
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")
_MEDIA_TYPE: Final = r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}"


class FileRef(BaseModel):
    """A file, as it stands in a task's input or output and in a tool's arguments and result.

    Example:
        ```python
        @agent.tool(effect="safe")
        async def pages(document: FileRef) -> int:
            return count_pages(await agent.files.get(document))
        ```
    """

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra={"x-file": True})

    hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Of its bytes. Where it is given, nothing else is taken for the file."""
    url: Annotated[str, Field(pattern=r"^https?://", max_length=2_048)] | None = None
    """Where it is to be had."""
    media_type: Annotated[str, Field(pattern=f"^{_MEDIA_TYPE}$")] = "application/octet-stream"
    """What its owner says that it is: data, not to be relied on."""
    name: Annotated[str, Field(max_length=255)] | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    """Bytes."""

    @model_validator(mode="after")
    def _has_a_reference(self) -> Self:
        if self.hash is None and self.url is None:
            raise ValueError("a file has a hash or a url")
        return self


class FileMissing(BadInput):
    """The file cannot be had, or what is there is another one; the message says which."""

    code = "file_missing"
    message = "a file cannot be had"


class Files:
    """The files of one agent: what it hands on, and what others refer it to."""

    def __init__(
        self, fetch: Callable[[str, int], Awaitable[bytes]], *, folder: Path | None = None, base_url: str | None = None
    ) -> None:
        """Keep files in `folder`, else in memory.

        Args:
            fetch: The bytes at an address that a stranger chose, at most so many; raises `DocumentError`.
            folder: Made at the first need, for its owner alone.
            base_url: Where this agent is reached; references have no address without.
        """
        self._fetch = fetch
        self._folder = folder
        self._base_url = None if base_url is None else base_url.rstrip("/")
        self._here: dict[str, bytes] = {}
        self._kept_bytes: int | None = None
        self._seen: dict[str, tuple[int, int, int]] = {}
        """What was found to be what its name says, as the file system knew it."""
        self._lock = threading.Lock()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()

    def put(
        self,
        data: bytes,
        *,
        media_type: str = "application/octet-stream",
        name: str | None = None,
        base_url: str | None = None,
    ) -> FileRef:
        """Keep a file to hand on, and give the reference that is sent in its place.

        `base_url` is where this agent is reached, where its identity does not say so. Raises `UsageError` where the
        file is too large or there is no room.
        """
        if len(data) > MAX_FILE_BYTES:
            raise UsageError(f"a file has at most {MAX_FILE_BYTES} bytes")
        digest = hashlib.sha256(data).hexdigest()
        reached = base_url.rstrip("/") if base_url else self._base_url
        url = None if reached is None else f"{reached}{PATH}/sha256:{digest}"
        made = FileRef(hash=f"sha256:{digest}", url=url, media_type=media_type, name=name, size=len(data))
        with self._lock:
            if self._read(digest) is None:
                if self._total() + len(data) > MAX_KEPT_BYTES:
                    raise UsageError(f"the files of an agent have at most {MAX_KEPT_BYTES} bytes together")
                self._write(digest, data)
        return made

    async def get(self, reference: FileRef | Mapping[str, object]) -> bytes:
        """The bytes of a file: from here, else from its address, checked against its hash. Raises `FileMissing`.

        Addresses are fetched as documents are: public ones, and those that `Agent(allow_sources=...)` names. Where many
        are being fetched already, it waits for its turn, as long as its caller does.
        """
        wanted = reference if isinstance(reference, FileRef) else FileRef.model_validate(reference)
        if wanted.hash is not None:
            held = await asyncio.to_thread(self._read, wanted.hash.removeprefix("sha256:"))
            if held is not None:
                return held
        if wanted.url is None:
            raise FileMissing("the file is not here, and its reference has no address")
        try:
            async with self._places().of(wanted.url):
                data = await self._fetch(wanted.url, MAX_FILE_BYTES)
        except DocumentError as error:
            raise FileMissing(f"the file cannot be fetched: {type(error).__name__}") from error
        if wanted.hash is not None and f"sha256:{hashlib.sha256(data).hexdigest()}" != wanted.hash:
            raise FileMissing("what is at the file's address is another file")
        return data

    def _places(self) -> "_Turns":
        return self._turns.setdefault(asyncio.get_running_loop(), _Turns())

    def drop(self, reference: FileRef | str) -> bool:
        """Hand a file on no more; True if it was here."""
        named = _HASH.fullmatch((reference if isinstance(reference, str) else reference.hash) or "")
        if named is None:
            return False
        with self._lock:
            held = self._read(named[1])
            if held is None:
                return False
            self._kept_bytes = self._total() - len(held)
            if self._folder is None:
                del self._here[named[1]]
            else:
                (self._folder / named[1]).unlink(missing_ok=True)
            return True

    def read(self, name: str) -> bytes | None:
        """The bytes of a file that is handed on, by `sha256:<hex>`."""
        named = _HASH.fullmatch(name)
        return None if named is None else self._read(named[1])

    def size(self, name: str) -> int | None:
        """The bytes of a file that is handed on, by `sha256:<hex>`; None where it is not here. None are held."""
        named = _HASH.fullmatch(name)
        if named is None:
            return None
        if self._folder is None:
            held = self._here.get(named[1])
            return None if held is None else len(held)
        try:
            with (self._folder / named[1]).open("rb") as file:
                known = os.fstat(file.fileno())
                mark = (known.st_ino, known.st_size, known.st_mtime_ns)
                if self._seen.get(named[1]) != mark:
                    if hashlib.file_digest(file, "sha256").hexdigest() != named[1]:
                        return None
                    keep(self._seen, named[1], mark, _MAX_SEEN)
        except OSError:
            return None
        return known.st_size

    async def parts(self, name: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file that is handed on, as whoever takes them does. Raises OSError where it went meanwhile."""
        digest = name.removeprefix("sha256:")
        if self._folder is None:
            data = self._here.get(digest, b"")
            for at in range(0, len(data), PART_BYTES):
                yield data[at : at + PART_BYTES]
            return
        with (self._folder / digest).open("rb") as file:
            while part := await asyncio.to_thread(file.read, PART_BYTES):
                yield part

    def _read(self, digest: str) -> bytes | None:
        if self._folder is None:
            return self._here.get(digest)
        try:
            data = (self._folder / digest).read_bytes()
        except OSError:
            return None
        # Whatever else is in the folder by then: a name is what its bytes hash to.
        return data if hashlib.sha256(data).hexdigest() == digest else None

    def _write(self, digest: str, data: bytes) -> None:
        self._kept_bytes = self._total() + len(data)
        if self._folder is None:
            self._here[digest] = data
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._folder / f"{digest}.part"
        part.write_bytes(data)
        part.chmod(0o600)
        part.replace(self._folder / digest)

    def _total(self) -> int:
        if self._kept_bytes is None:
            self._kept_bytes = 0
            if self._folder is not None and self._folder.is_dir():
                self._kept_bytes = sum(each.stat().st_size for each in self._folder.iterdir())
        return self._kept_bytes


class _Turns:
    """Whose file is fetched now, of one event loop: each may be large and slow, and strangers choose them."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(AT_ONCE)
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, url: str) -> AsyncIterator[None]:
        """A turn for what is at `url`."""
        origin = origin_of(url)
        of_host = self._hosts.get(origin)
        if of_host is None:
            of_host = self._hosts[origin] = asyncio.Semaphore(OF_ONE_HOST)
        # The host's turn first: those who wait for it hold no place of others.
        async with of_host, self._all:
            yield


class FilesDoor:
    """The door of `GET /files/{hash}`."""

    def __init__(self, files: Files, otherwise: Door) -> None:
        """Hand on `files`; what is refused is refused as by `otherwise`."""
        self._files = files
        self._otherwise = otherwise

    @property
    def body_bytes(self) -> int:
        """See `Door.body_bytes`."""
        return 0

    def refuse(self, code: str) -> WireReply:
        """See `Door.refuse`."""
        return self._otherwise.refuse(code)

    async def __call__(self, wire: WireRequest) -> WireReply:
        """See `Door.__call__`."""
        name = wire.path.partition("?")[0].removeprefix(PATH + "/")
        size = await asyncio.to_thread(self._files.size, name) if wire.method in ("GET", "HEAD") else None
        if size is None:
            return self.refuse("not_found")
        headers = {
            # Whatever it is said to be, it is nothing for a browser to run, and the bytes of a hash never change.
            "content-type": "application/octet-stream",
            "content-length": str(size),
            "content-disposition": f"attachment; filename={quote(name.partition(':')[2][:16])}",
            "cache-control": "private, max-age=31536000, immutable",
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox",
        }
        # Never whole: whoever knows a hash may come as often, and take as slowly, as they like.
        return WireReply(headers=headers, chunks=self._files.parts(name) if wire.method == "GET" else None)
