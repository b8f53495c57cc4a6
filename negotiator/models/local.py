"""A small open model on this machine, in one server process that all processes share.

The first call starts the server (`negotiator.models.local_server`), later calls of any process of the same
person find it; it goes when nobody has called for a while, and a crash of anybody leaves nothing behind that
the next call does not put right. Nothing is ever downloaded by a call: see `negotiator.models.weights`.
"""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from negotiator.clock import Clock, Deadline, SystemClock
from negotiator.errors import DeadlinePassed, ModelUnavailable
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message
from negotiator.models.fetching import NAME, WeightsMissing
from negotiator.models.file_locks import held
from negotiator.models.openai_compatible import OpenAIModel
from negotiator.models.priority import Turnstile
from negotiator.models.weights import Weights, cache_dir, locate

CONTEXT: Final = 8_192
"""Tokens of prompt and answer together."""
SLOTS: Final = 2
"""Calls at once: a request need not wait for a call that another process makes to learn."""
IDLE_SECONDS: Final = 600.0
"""How long the server stays when nobody calls."""
_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_LOG_TAIL: Final = 300

_LOG = logging.getLogger("negotiator.models")
_TURNS = Turnstile()


@dataclass(frozen=True, slots=True)
class _Server:
    address: str
    api_key: str


class LocalModel:
    """The default model, or any GGUF file, served on loopback behind a random key.

    Args:
        path: A GGUF file; `NEGOTIATOR_GGUF`, then the default weights in the cache, by default.
        clock: Where durations come from.
        random: Numbers from 0 up to 1 for the jitter of retries.
        sleep: Waits that many seconds between retries.
        idle_seconds: See `IDLE_SECONDS`; counts for the server that this model starts.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        clock: Clock | None = None,
        random: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._path = path or os.environ.get("NEGOTIATOR_GGUF") or None
        self._name = f"local/{Path(self._path).stem.lower() if self._path else NAME}"
        self._clock = clock or SystemClock()
        self._random = random
        self._sleep = sleep
        self._idle = idle_seconds
        self._weights: Weights | None = None
        self._server: _Server | None = None
        self._door: OpenAIModel | None = None

    @property
    def name(self) -> str:
        """`local/` and the default model's name, or the file's."""
        return self._name

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`. Inside `in_background()` it waits until no request of this process calls.

        Raises `WeightsMissing`, a `ModelUnavailable`, where there are no weights on this machine.
        """
        try:
            async with asyncio.timeout(deadline.require()), _TURNS.turn():
                folder = await self._folder()
                async with _lease(folder):
                    for last in (False, True):
                        door = await self._door_to(await self._running(folder))
                        try:
                            return await door.complete(
                                messages, purpose=purpose, schema=schema, max_tokens=max_tokens, deadline=deadline
                            )
                        except ModelUnavailable:
                            # A server that died under the call is started again, once.
                            if last or not _nobody_serves(folder):
                                raise
        except TimeoutError:
            raise DeadlinePassed from None
        raise AssertionError("the last turn returns or raises")

    async def aclose(self) -> None:
        """Let go of the server; it goes by itself when nobody calls."""
        door, self._door, self._server = self._door, None, None
        if door is not None:
            await door.aclose()

    async def _folder(self) -> Path:
        if self._weights is None:
            self._weights = await asyncio.to_thread(locate, self._path)
            if self._weights is None:
                raise WeightsMissing(
                    "the weights of the local model are not on this machine; fetch them (1.1 GB) with: "
                    "python -m negotiator.models.weights --yes; or give any GGUF file in NEGOTIATOR_GGUF"
                )
            _LOG.info("local model %s, sha256:%s", self._weights.path.name, self._weights.sha256)
        return cache_dir() / "served" / self._weights.sha256[:16]

    async def _running(self, folder: Path) -> _Server:
        """The server of `folder`, started and loaded if need be. Raises `ModelUnavailable` if it dies at once."""
        started = False
        while True:
            if not _nobody_serves(folder):
                server = _read(folder)
                if server is not None:
                    return server
            elif started:
                raise ModelUnavailable(f"{self._name} could not be loaded: {_last_words(folder)}")
            else:
                with held(folder / "start.lock", wait=False) as mine:
                    if mine and _nobody_serves(folder):
                        await asyncio.to_thread(self._start, folder)
                        started = True
            await asyncio.sleep(_POLL_SECONDS)

    def _start(self, folder: Path) -> None:
        assert self._weights is not None  # noqa: S101 - `_folder` has found them
        script = Path(__file__).with_name("local_server.py")
        options = {
            "--weights": self._weights.path,
            "--folder": folder,
            "--context": CONTEXT,
            "--slots": SLOTS,
            "--threads": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
            "--idle": self._idle,
        }
        with contextlib.suppress(subprocess.TimeoutExpired):
            # -P: the script's own folder must not shadow what it imports. It leaves its starter before it loads.
            subprocess.run(  # noqa: S603 - our own script, no shell
                [sys.executable, "-P", str(script), *(str(word) for option in options.items() for word in option)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_START_SECONDS,
                check=False,
            )

    async def _door_to(self, server: _Server) -> OpenAIModel:
        if self._door is None or server != self._server:
            old, self._server = self._door, server
            self._door = OpenAIModel(
                "local",
                base_url=f"{server.address}/v1",
                api_key=server.api_key,
                name=self._name,
                clock=self._clock,
                random=self._random,
                sleep=self._sleep,
            )
            if old is not None:
                await old.aclose()
        return self._door


@contextlib.asynccontextmanager
async def _lease(folder: Path) -> AsyncIterator[None]:
    """While this is held, the server does not go."""
    path = folder / "lease.lock"
    while True:
        # The server holds it for a moment, when it goes.
        with held(path, shared=True, wait=False) as mine:
            if mine:
                os.utime(path)
                try:
                    yield
                finally:
                    os.utime(path)
                return
        await asyncio.sleep(_POLL_SECONDS)


def _nobody_serves(folder: Path) -> bool:
    with held(folder / "alive.lock", shared=True, wait=False) as free:
        return free


def _read(folder: Path) -> _Server | None:
    try:
        state = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        return _Server(str(state["address"]), str(state["api_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _last_words(folder: Path) -> str:
    try:
        log = (folder / "server.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "it left no log"
    return log.strip()[-_LOG_TAIL:] or "it left an empty log"
