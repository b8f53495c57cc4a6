"""What proofs of identity cost a request: signing it, checking a signature, checking a token.

In one process, without a network: documents are at hand at once, so that a first verification is reading and proving
the caller's DID document, and checking its signature. Nonces and pins are kept in memory and on disk.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from negotiator.clock import Deadline, SystemClock
from negotiator.identity import DidResolver, Identity, Revocations, TrustPolicy
from negotiator.identity.checker import Checker
from negotiator.identity.replay import Nonces
from negotiator.identity.signing import signing
from negotiator.identity.tokens import AccessTokens
from negotiator.state import open_state
from negotiator.wire import Transport, WireReply, WireRequest

HERE = "https://here.example/agent"
LIMITS = {"signing": 1.0, "first verification": 5.0, "token": 0.2}
"""Milliseconds that were promised, for the median."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=500, help="of each kind (default: %(default)s)")
    parser.add_argument("--body", type=int, default=1024, help="bytes of a body (default: %(default)s)")


def run(given: argparse.Namespace, out: Path) -> None:
    report: dict[str, Any] = {"requests": given.requests, "body_bytes": given.body, "machine": machine()}
    for kept in ("memory", "disk"):
        with tempfile.TemporaryDirectory() as folder:
            state = "memory" if kept == "memory" else Path(folder) / "state"
            report[kept] = asyncio.run(measure(given.requests, given.body, state))
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(written(report), encoding="utf-8")


async def measure(requests: int, body_bytes: int, where: str | Path) -> dict[str, dict[str, float]]:
    """Milliseconds of each step: the median, the 95th of a hundred, and the median of the processor's time."""
    clock, state, documents = SystemClock(), open_state(where), dict[str, bytes]()
    body = bytes(body_bytes)

    async def fetch(url: str) -> bytes:
        return documents[url]

    checker = Checker(
        [HERE],
        resolver=DidResolver(fetch, state.text, clock),
        nonces=Nonces(state.text, clock),
        revocations=Revocations(state.text),
        clock=clock,
        trust=TrustPolicy(),
        tokens=AccessTokens(state.secrets, HERE, clock),
    )
    times: dict[str, list[tuple[float, float]]] = {
        name: [] for name in ("signing", "first verification", "verification", "token")
    }
    await _signed(await _newcomer(documents), body)  # what is loaded on use is loaded
    for _ in range(max(requests // 10, 1)):
        wire = await _signed(await _newcomer(documents), body)
        await _timed(times["first verification"], lambda wire=wire: checker.check(wire))
    caller, token = await _newcomer(documents), ""
    for _ in range(requests):
        wire = await _timed(times["signing"], lambda: _signed(caller, body))
        proven = await _timed(times["verification"], lambda wire=wire: checker.check(wire))
        token = proven.token
    shown = WireRequest(body=body, headers={"authorization": f"Bearer {token}"})
    for _ in range(requests):
        await _timed(times["token"], lambda: checker.check(shown))
    return {name: _figures(each) for name, each in times.items()}


def written(report: dict[str, Any]) -> str:
    """The report for people."""
    said = "Milliseconds a request: median (95th of a hundred), and the processor's, which other work changes less."
    lines = ["# Identity", "", said, ""]
    lines += [
        "| step | state in memory | processor | state on disk | processor | promised |",
        "|---|---|---|---|---|---|",
    ]
    for name in report["memory"]:
        found = [report[kept][name] for kept in ("memory", "disk")]
        cells = [f"{each['median']:.3f} ({each['p95']:.3f}) | {each['processor']:.3f}" for each in found]
        lines.append(f"| {name} | {' | '.join(cells)} | {LIMITS.get(name, '')} |")
    return "\n".join(lines) + "\n"


async def _newcomer(documents: dict[str, bytes]) -> Identity:
    identity = Identity.in_memory(f"https://{secrets.token_hex(8)}.example")
    documents[identity.parsed.url()] = await identity.document()
    return identity


class _Kept:
    """A transport that keeps what it is given."""

    sent: WireRequest

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:  # noqa: ARG002
        self.sent = request
        return WireReply()

    async def aclose(self) -> None:
        pass


async def _signed(caller: Identity, body: bytes) -> WireRequest:
    clock, kept = SystemClock(), _Kept()
    transport: Transport = signing(kept, caller, clock, lambda: secrets.token_urlsafe(18))
    await transport.send(HERE, WireRequest(body=body), deadline=Deadline.after(60, clock))
    return kept.sent


async def _timed(times: list[tuple[float, float]], work: Callable[[], Awaitable[Any]]) -> Any:
    begun, busy = time.perf_counter(), time.process_time()
    made = await work()
    times.append(((time.perf_counter() - begun) * 1000, (time.process_time() - busy) * 1000))
    return made


def _figures(times: list[tuple[float, float]]) -> dict[str, float]:
    waited = sorted(each for each, _ in times)
    busy = statistics.median(each for _, each in times)
    return {"median": statistics.median(waited), "p95": waited[int(len(waited) * 0.95)], "processor": busy}
