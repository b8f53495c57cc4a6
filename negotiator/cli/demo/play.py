"""Leads the demo's two processes: asks, waits for what is learned, counts on both sides, starts them anew."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from negotiator.cli.demo import story
from negotiator.cli.demo.exchanges import Exchange, Phase, Summary
from negotiator.cli.demo.meter import less
from negotiator.cli.demo.show import Show, news_of
from negotiator.cli.serving import address_of, listen
from negotiator.clock import Deadline, SystemClock
from negotiator.errors import NegotiatorError
from negotiator.models import Message

PARTS: Final = ("caller", "receiver")
MAX_EXCHANGES: Final = 12
"""How often the same request is asked before the demo gives up."""
MAX_FAILURES: Final = 4
"""The same, where every one of them fails."""
_START_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 400.0
"""A negotiation with its synthesis may take 300."""
_END_SECONDS: Final = 20.0
_LINE_BYTES: Final = 2**24


class SideFailed(NegotiatorError):
    """One of the demo's processes ended or said nothing."""

    code = "demo_failed"


class Side:
    """One process of the demo, as it is led from here."""

    def __init__(self, part: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.part = part
        self.pid = process.pid
        self._process = process
        self._log = log

    async def say(self, do: str, **more: Any) -> dict[str, Any]:
        """Give a command and return the answer. Raises `SideFailed`."""
        if self._process.stdin is None:
            raise SideFailed
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            await self._process.stdin.drain()
        except OSError as error:
            raise SideFailed(self._last_words()) from error
        return await self.hear(_ANSWER_SECONDS)

    async def hear(self, seconds: float) -> dict[str, Any]:
        """The next line that it says. Raises `SideFailed`."""
        if self._process.stdout is None:
            raise SideFailed
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        except TimeoutError as error:
            raise SideFailed(f"the {self.part} said nothing for {seconds:.0f} s") from error
        if not line:
            raise SideFailed(self._last_words())
        value: dict[str, Any] = json.loads(line)
        return value

    async def end(self) -> None:
        """Have it end what it has begun, and wait for it to go."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _last_words(self) -> str:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        return f"the {self.part}'s process ended: {said[0] if said else 'it left no word'}"


class Play:
    """The demo from beginning to end."""

    def __init__(self, spec: str, folder: Path, show: Show, *, rounds: int) -> None:
        """`spec` names the model of both sides; `folder` gets a state folder for each."""
        self._spec = spec
        self._folder = folder
        self._show = show
        self._rounds = rounds
        self._same_words = spec == "none"
        self._exchanges: list[Exchange] = []
        self._sides: list[Side] = []

    async def run(self) -> bool:
        """Play it; True where both sides reached routines and needed no model after that. Raises `SideFailed`."""
        after_routine = after_restart = None
        with listen("127.0.0.1", 0) as listening:
            url = address_of(listening)
            await self._warm()
            async with self._both(listening) as model:
                self._show.begin(url, model, self._pids, same_words=self._same_words)
                if await self._learn(url):
                    after_routine = await self._go_on(url)
                kept = await self._kept()
            if after_routine is not None:
                async with self._both(listening):
                    self._show.restarted(self._pids)
                    after_restart = await self._ask_again(url)
                    kept = await self._kept()
        summary = Summary(
            model=model,
            exchanges=self._exchanges,
            calls_after_routine=after_routine,
            calls_after_restart=after_restart,
            kept=kept,
            usd_at=self._show.usd_at,
        )
        self._show.end(summary)
        return summary.good

    async def _learn(self, url: str) -> bool:
        known = await self._kept()
        for _ in range(MAX_EXCHANGES):
            before = await self._reading()
            with self._show.console.waiting("asking"):
                exchange = await self._exchange(url, "learning", 0)
            self._show.exchange(exchange)
            with self._show.console.waiting("learning"):
                await self._settle()
            exchange.learned = less(await self._reading(), before, learning=True)
            kept = await self._kept()
            news = [each for part in PARTS for each in news_of(known[part]["routines"], kept[part]["routines"], part)]
            self._show.learned(exchange, news)
            known = kept
            if exchange.final_tier == "routine":
                return True
            if len(self._exchanges) == MAX_FAILURES and all(each.error for each in self._exchanges):
                break
        return False

    async def _go_on(self, url: str) -> int:
        """Ask other things; how many model calls there were on both sides, learning included."""
        before = await self._reading()
        with self._show.console.waiting(f"asking {self._rounds} further requests"):
            made = [await self._exchange(url, "further", number) for number in range(1, self._rounds + 1)]
            await self._settle()
        calls = less(await self._reading(), before).calls
        self._show.further(made, calls)
        return calls

    async def _ask_again(self, url: str) -> int:
        self._show.exchange(await self._exchange(url, "restart", 0))
        await self._settle()
        # Both processes are new, so all that they have counted came after the restart.
        return less(await self._reading(), []).calls

    async def _exchange(self, url: str, phase: Phase, number: int) -> Exchange:
        asked = story.request(number, same_words=self._same_words)
        before = await self._reading()
        outcome = await self._sides[0].say("ask", url=url, input=asked)
        exchange = Exchange.of(
            phase,
            outcome,
            usage=less(await self._reading(), before, learning=False),
            right=outcome.get("output") == story.answer(asked),
            usd_at=self._show.usd_at,
        )
        self._exchanges.append(exchange)
        return exchange

    async def _reading(self) -> list[dict[str, Any]]:
        return [await side.say("spent") for side in self._sides]

    async def _settle(self) -> None:
        # The caller's negotiation gives the receiver work, and never the other way about.
        for side in self._sides:
            await side.say("settle")

    async def _kept(self) -> dict[str, Any]:
        return {side.part: await side.say("kept") for side in self._sides}

    @property
    def _pids(self) -> tuple[int, int]:
        caller, receiver = self._sides
        return caller.pid, receiver.pid

    @asynccontextmanager
    async def _both(self, listening: socket.socket) -> AsyncIterator[str]:
        """Both processes, started and in the end ended; gives the name of the model that serves them."""
        self._sides = []
        waiting = self._show.console.waiting
        try:
            with waiting("starting two processes"):
                for part in PARTS:
                    self._sides.append(await self._start(part, listening))
                ready = [await side.hear(_START_SECONDS) for side in self._sides]
            yield str(ready[0]["model"])
        finally:
            with waiting("ending two processes"):
                await asyncio.gather(*(side.end() for side in self._sides))

    async def _start(self, part: str, listening: socket.socket) -> Side:
        words = ["--model", self._spec, "--state", str(self._folder / part)]
        handed: tuple[int, ...] = ()
        if self._same_words:
            words.append("--same-words")
        if part == "receiver":
            # The socket stays with this process, so that the address is the same after the restart.
            handed = (listening.fileno(),)
            words += ["--fd", str(handed[0])]
        log = self._folder / f"{part}.log"
        with log.open("ab") as writing:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "negotiator.cli.demo.side",
                part,
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=writing,
                limit=_LINE_BYTES,
                pass_fds=handed,
                # Ctrl-C is for the leading process, which then ends the others in order.
                start_new_session=True,
            )
        return Side(part, process, log)

    async def _warm(self) -> None:
        """Have the machine's local model loaded, so that the first exchange does not pay for it."""
        if self._spec.partition("/")[0] != "local":
            return
        from negotiator.cli.demo.side import model_of  # noqa: PLC0415 - loaded on use

        model = model_of(self._spec)
        with self._show.console.waiting("loading the local model"):
            deadline = Deadline.after(_ANSWER_SECONDS, SystemClock())
            await model.complete([Message("user", "Hello")], purpose="warm_up", max_tokens=1, deadline=deadline)
        await model.aclose()
