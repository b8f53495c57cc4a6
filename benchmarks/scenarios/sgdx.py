"""SGD-X interoperation: a client in one vocabulary, servers in another, over loopback HTTP.

A server agent per service speaks the original schema and answers from the recorded calls; one client agent speaks
a variant in which every slot and method has another name. Right and wrong are told by the gold renaming: a request
is right where the server got the recorded method and parameters and the client got the recorded rows, renamed.
"""

import argparse
import asyncio
import json
import logging
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.answers import SCRIPTED, open_kept
from benchmarks.data import data_directory
from benchmarks.machine import machine
from benchmarks.scenarios import sgdx_policies
from benchmarks.scenarios.sgdx_data import MAX_ROWS, Pair, load_pairs, split_directory
from benchmarks.scenarios.sgdx_traffic import SHAPES
from negotiator import Agent, NegotiatorError, Task
from negotiator.clock import Deadline
from negotiator.identity import EVERYBODY
from negotiator.messages import Tier
from negotiator.models import weights
from negotiator.models.base import Model, Usage
from negotiator.transports.http_client import HTTPTransport
from negotiator.wire import WireReply, WireRequest
from protocol_docs import catalog

TIERS: tuple[Tier, ...] = ("natural_language", "structured", "routine")
CONCURRENT = 1
_ORDER = {tier: at for at, tier in enumerate(TIERS)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="the folder that holds sgd/<split>; else NEGOTIATOR_DATA")
    parser.add_argument("--split", default="dev", help="the folder of the split (default: dev)")
    parser.add_argument("--variant", type=int, default=3, help="the client's vocabulary, 1 to 5 (default: 3)")
    parser.add_argument("--pairs", type=int, default=12, help="(service, method) pairs (default: 12)")
    parser.add_argument("--requests", type=int, default=10, help="requests a pair (default: 10)")
    parser.add_argument(
        "--model", default="", help="of both sides: local (default), scripted, recorded, none or another's name"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--traffic", choices=SHAPES, help="compare the cost policies over such traffic, --model scripted by default"
    )
    parser.add_argument("--number", type=int, default=3000, help="requests, with --traffic (default: 3000)")
    parser.add_argument("--policies", default="", help="rows by name, with --traffic (default: all)")
    parser.add_argument("--workers", type=int, default=2, help="processes, with --traffic (default: 2)")
    parser.add_argument(
        "--minutes", type=float, help="with --traffic: none is begun after so long; the next run goes on"
    )
    parser.add_argument("--yes", action="store_true", help="fetch the weights of the local model without asking")


def run(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run it, write OUT/report.json and OUT/report.md, and return the report."""
    if arguments.traffic:
        arguments.model = arguments.model or SCRIPTED
        return sgdx_policies.run(arguments, out)
    arguments.model = arguments.model or "local"
    directory = split_directory(data_directory(arguments.data), arguments.split)
    pairs = load_pairs(
        directory,
        variant=arguments.variant,
        pairs=arguments.pairs,
        requests=arguments.requests,
        seed=arguments.seed,
    )
    if arguments.model == "local" and arguments.yes:
        weights.ensure(assume_yes=True)
    out.mkdir(parents=True, exist_ok=True)
    model = open_kept(arguments.model, out / "answers.jsonl")
    started = time.monotonic()
    # One client, as far as what it knows goes: what an agreement costs is learned once.
    with tempfile.TemporaryDirectory(prefix="sgdx-") as state:
        results = asyncio.run(_run(pairs, model, Path(state)))
    report = {
        "benchmark": "sgdx",
        "data": "Schema-Guided Dialogue and SGD-X, Google, CC BY-SA 4.0",
        "split": arguments.split,
        "variant": f"v{arguments.variant}",
        "seed": arguments.seed,
        "model": model.name,
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
        "pairs": [result.to_json() for result in results],
        "totals": totals(results),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    return report


@dataclass
class Result:
    """What one pair came to."""

    pair: Pair
    agreed: bool = False
    rounds: int = 0
    tier: str = "none"
    """The lower tier of the two sides at the last request that was answered."""
    usage: Usage = field(default_factory=Usage)
    """Of both sides, learning included."""
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {tier: Counter() for tier in TIERS})
    reasons: Counter[str] = field(default_factory=Counter)
    routine_kind: str = ""
    verdict: str = ""
    protocol_hash: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.pair.service,
            "method": self.pair.method,
            "agreed": self.agreed,
            "rounds": self.rounds,
            "tier": self.tier,
            "protocol_hash": self.protocol_hash,
            "routine": self.routine_kind,
            "verdict": self.verdict,
            "model_calls": self.usage.calls,
            "tokens": self.usage.tokens,
            "model_seconds": round(self.usage.seconds, 1),
            "usd": self.usage.usd,
            "requests": {tier: dict(count) for tier, count in self.counts.items() if count},
            "refusals": dict(self.reasons),
        }


class Counting(HTTPTransport):
    """HTTP, with the messages of the negotiation dialogue counted."""

    def __init__(self) -> None:
        super().__init__()
        self.dialogue = 0
        names = catalog.negotiation_dialogue().aliases
        self._marks = tuple(name.split(":")[1].encode() for name in names)

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        if any(mark in request.body[:400] for mark in self._marks):
            self.dialogue += 1
        return await super().send(base_url, request, deadline=deadline)


class Service:
    """One server agent, answering from what was recorded."""

    def __init__(self, name: str, pairs: list[Pair], model: Model) -> None:
        self.name, self.pairs = name, pairs
        self.agent = Agent(model, name=name, publish="agreed", state="memory", request_seconds=300, authority=EVERYBODY)
        self.called: list[tuple[str, dict[str, Any]]] = []
        for pair in pairs:
            self._offer(pair)

    def _offer(self, pair: Pair) -> None:
        recorded = {pair.meant(call["parameters"]): call["results"][:MAX_ROWS] for call in pair.calls}

        async def answer(**parameters: Any) -> dict[str, Any]:
            self.called.append((pair.method, parameters))
            return {"results": recorded.get(pair.meant(parameters), [])}

        self.agent.tool(
            effect="transactional" if pair.transactional else "safe",
            name=pair.method,
            description=pair.description,
            input=pair.takes,
            output=pair.gives,
        )(answer)


async def _run(pairs: list[Pair], model: Model, state: Path) -> list[Result]:
    services = {
        name: Service(name, [pair for pair in pairs if pair.service == name], model)
        for name in dict.fromkeys(pair.service for pair in pairs)
    }
    applications = {f"/{name}": service.agent.asgi() for name, service in services.items()}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        prefix = "/" + scope.get("path", "/").lstrip("/").split("/", 1)[0]
        if scope["type"] != "http" or prefix not in applications:
            return
        await applications[prefix]({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve([listener]))
    # One at a time: two streams of a small machine's model take longer than one after the other.
    places = asyncio.Semaphore(CONCURRENT)

    async def one_service(service: Service) -> list[Result]:
        transport = Counting()
        client = Agent(model, name="client", state=state, transport=transport, request_seconds=300)
        url = f"http://127.0.0.1:{port}/{service.name}"
        async with places:
            try:
                return [await _run_pair(pair, service, client, transport, url) for pair in service.pairs]
            finally:
                await client.aclose()
                await transport.aclose()

    try:
        done = await asyncio.gather(*(one_service(service) for service in services.values()))
    finally:
        for service in services.values():
            await service.agent.aclose()
        await model.aclose()
        server.should_exit = True
        await serving
    return sorted((result for results in done for result in results), key=lambda result: pairs.index(result.pair))


async def _run_pair(pair: Pair, service: Service, client: Agent, transport: Counting, url: str) -> Result:
    task = Task(
        pair.client_description,
        input=pair.client_takes,
        output=pair.client_gives,
        effect="transactional" if pair.transactional else "safe",
    )
    result = Result(pair)
    before = client.engine.ledger.total, service.agent.engine.ledger.total
    spoken, started = transport.dialogue, time.monotonic()
    for at, call in enumerate(pair.calls):
        await _request(pair, service, client, task, url, call, result)
        await client.settle()
        await service.agent.settle()
        seconds = time.monotonic() - started
        _progress(
            f"{seconds:6.0f} s  {pair.service} {pair.method}: request {at + 1} of {len(pair.calls)}, {result.tier}"
        )
    after = client.engine.ledger.total, service.agent.engine.ledger.total
    result.usage = _minus(after[0], before[0]) + _minus(after[1], before[1])
    agreed = client.engine.agreements.find(task.digest, url)
    result.agreed = agreed is not None
    result.rounds = transport.dialogue - spoken
    if agreed is not None:
        result.protocol_hash = agreed.protocol_hash
        runnable = client.engine.routines.get(agreed.protocol_hash, "sender", task.digest)
        if runnable is not None:
            result.routine_kind = runnable.routine.kind
            result.verdict = f"{runnable.routine.state}: {runnable.routine.verdict.detail}"
    return result


async def _request(
    pair: Pair,
    service: Service,
    client: Agent,
    task: Task,
    url: str,
    call: dict[str, Any],
    result: Result,
) -> None:
    service.called.clear()
    try:
        outcome = await client.ask(url, task, pair.ask(call))
    except NegotiatorError as error:
        tier = "structured" if client.engine.agreements.find(task.digest, url) else "natural_language"
        result.counts[tier]["refused"] += 1
        result.reasons[type(error).__name__] += 1
        logging.getLogger("benchmarks").info("refused (%s): %s: %s", tier, type(error).__name__, error)
        return
    called = [(method, pair.meant(parameters)) for method, parameters in service.called]
    done = called == [(pair.method, pair.meant(call["parameters"]))]
    right = done and _same_rows(outcome.json, pair.expected(call))
    result.counts[outcome.tier]["right" if right else "wrong"] += 1
    other = outcome.peer_tier if outcome.peer_tier in _ORDER else outcome.tier
    result.tier = min(outcome.tier, other, key=lambda tier: _ORDER[tier])
    if not right:
        logging.getLogger("benchmarks").info(
            "wrong (%s): asked %s, server got %s, answer %s, expected %s",
            outcome.tier, pair.ask(call), service.called, outcome.json, pair.expected(call),
        )  # fmt: skip


def _same_rows(given: Any, expected: Any) -> bool:
    return bool(given == expected)


def _minus(one: Usage, other: Usage) -> Usage:
    return Usage(
        calls=one.calls - other.calls,
        prompt_tokens=one.prompt_tokens - other.prompt_tokens,
        completion_tokens=one.completion_tokens - other.completion_tokens,
        seconds=one.seconds - other.seconds,
        usd=None if one.usd is None or other.usd is None else one.usd - other.usd,
    )


def totals(results: list[Result]) -> dict[str, Any]:
    """Sums over all pairs, and the figures that the README quotes."""
    counts = {tier: Counter[str]() for tier in TIERS}
    for result in results:
        for tier, count in result.counts.items():
            counts[tier] += count
    under = counts["structured"] + counts["routine"]
    answered = under["right"] + under["wrong"]
    words = counts["natural_language"]
    return {
        "pairs": len(results),
        "services": len({result.pair.service for result in results}),
        "agreed": sum(result.agreed for result in results),
        "reached_routine": sum(result.tier == "routine" for result in results),
        "requests": {tier: dict(count) for tier, count in counts.items()},
        "right_share_structured_and_routine": round(under["right"] / answered, 4) if answered else None,
        "wrong_by_routine": counts["routine"]["wrong"],
        "right_share_natural_language": round(words["right"] / words.total(), 4) if words.total() else None,
        "model_calls": sum(result.usage.calls for result in results),
        "tokens": sum(result.usage.tokens for result in results),
        "model_seconds": round(sum(result.usage.seconds for result in results), 1),
    }


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"# sgdx, split {report['split']}, client in {report['variant']}, model {report['model']}",
        "",
        (
            f"Data: {report['data']}. Machine: {report['machine']['processor']}, {report['machine']['cores']} cores. "
            f"Seed {report['seed']}, {report['seconds']} s."
        ),
        "",
        "| pair | agreed | rounds | tier | model calls | tokens | natural language | structured | routine |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for pair in report["pairs"]:
        cells = [_cell(pair["requests"].get(tier, {})) for tier in TIERS]
        agreed = "yes" if pair["agreed"] else "no"
        lines.append(
            f"| {pair['service']} {pair['method']} | {agreed} | {pair['rounds']} | {pair['tier']} | "
            f"{pair['model_calls']} | {pair['tokens']} | {' | '.join(cells)} |"
        )
    total = report["totals"]
    lines += [
        "",
        "Cells: right / wrong / refused.",
        "",
        (
            f"Reached the routine tier on both sides: {total['reached_routine']} of {total['pairs']} pairs over "
            f"{total['services']} services. Right among those answered in the structured and routine tiers: "
            f"{_share(total['right_share_structured_and_routine'])}. Wrong by a routine: {total['wrong_by_routine']}. "
            f"Right in natural language: {_share(total['right_share_natural_language'])}. "
            f"Model calls: {total['model_calls']}, tokens: {total['tokens']}."
        ),
        "",
    ]
    return "\n".join(lines)


def _cell(count: dict[str, int]) -> str:
    return f"{count.get('right', 0)} / {count.get('wrong', 0)} / {count.get('refused', 0)}" if count else "-"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f} %"


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
