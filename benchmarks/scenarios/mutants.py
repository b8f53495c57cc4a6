"""Wrong routines, on purpose: a stand-in for synthesis returns mutants of right routines, and what serves is counted.

For each (service, method, vocabulary) of SGD-X, in both roles, a candidate is put on the shelf: right, or with the
given probability a mutant of it. Then recorded calls are asked, one after the other. The structured tier is scripted:
it answers from the gold renaming, and only what it is asked. So every wrong answer is a routine's, and what is measured
is the verdict alone: the examples, the shadowed exchanges and the guards.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from benchmarks.data import data_directory
from benchmarks.machine import machine
from benchmarks.scenarios.mutations import MUTATIONS, Form, Program, as_code, as_handler, as_mapping, mutant, right
from benchmarks.scenarios.sgdx import Service
from benchmarks.scenarios.sgdx_data import Pair, load_pairs, split_directory
from negotiator import Agent, NegotiatorError, Task
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.fitting import Half, receiver_half, sender_half
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Request
from negotiator.models.base import Message
from negotiator.models.scripted import ScriptedModel
from negotiator.routines import Direction, Role, Routine
from negotiator.running import Runnable
from negotiator.serving import ExchangeContext
from negotiator.synthesis import put_candidate
from negotiator.transports.memory import MemoryTransport
from protocol_docs import ProtocolDocument, draft_document
from protocol_docs.annex import write_annex

Carrying: TypeAlias = Literal["examples", "schemas", "prose"]
"""What a document carries: schemas and examples, schemas alone, or neither."""

SERVER: Final = "mem://server"
FORMS: Final[dict[Carrying, tuple[Form, ...]]] = {
    "examples": ("mapping", "code"),
    "schemas": ("mapping", "code"),
    "prose": ("code",),
}
ROLES: Final[tuple[Role, ...]] = ("sender", "receiver")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="the folder that holds sgd/<split>; else NEGOTIATOR_DATA")
    parser.add_argument("--split", default="dev", help="the folder of the split (default: dev)")
    parser.add_argument("--variants", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="vocabularies (default: all)")
    parser.add_argument("--pairs", type=int, default=1000, help="(service, method) pairs a vocabulary (default: all)")
    parser.add_argument("--requests", type=int, default=10, help="requests a candidate (default: 10)")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.04, 0.2, 0.6], help="probabilities of a mutant")
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run it, write OUT/report.json and OUT/report.md, and return the report."""
    directory = split_directory(data_directory(arguments.data), arguments.split)
    started = time.monotonic()
    results: list[Result] = []
    for variant in arguments.variants:
        pairs = load_pairs(
            directory,
            variant=variant,
            pairs=arguments.pairs,
            requests=arguments.requests,
            seed=arguments.seed,
        )
        results += asyncio.run(run_pairs(pairs, variant, arguments.shares, arguments.seed))
        print(f"{time.monotonic() - started:6.0f} s  vocabulary v{variant}", file=sys.stderr, flush=True)
    report = {
        "benchmark": "mutants",
        "data": "Schema-Guided Dialogue and SGD-X, Google, CC BY-SA 4.0",
        "split": arguments.split,
        "variants": arguments.variants,
        "requests": arguments.requests,
        "seed": arguments.seed,
        "model": "scripted: the structured tier answers from the gold renaming",
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
        "settings": [summary(share, carrying, results) for share in arguments.shares for carrying in FORMS],
        "kinds": [of_kind(kind, carrying, results) for carrying in FORMS for kind in MUTATIONS],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    return report


@dataclass(frozen=True, kw_only=True)
class Case:
    """One candidate."""

    pair: Pair
    variant: int
    share: float
    carrying: Carrying
    role: Role
    form: Form
    kind: str | None
    """The kind of mutant; None for a right routine."""
    program: Program

    @property
    def describes(self) -> str:
        """For people."""
        what = self.kind or "right"
        return f"v{self.variant} {self.pair.service} {self.pair.method} {self.role} {self.form} {self.carrying} {what}"


@dataclass
class Result:
    """What became of it."""

    case: Case
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(tier, right, wrong or refused) -> requests."""
    state: str = ""


class Gold:
    """The model of the structured tier: what it is asked, it answers from the gold renaming."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.call: JsonObject = {}
        """The recorded call at hand."""
        self.clients = {theirs: ours for ours, theirs in pair.names.items()}
        self.model = ScriptedModel(
            {
                "pair_fields": self._pair_fields,
                "choose_tool": {"tool": pair.method},
                "write_request": lambda *_: json.dumps(self.call["parameters"]),
                "read_request": lambda *_: {"answer": self.call["parameters"]},
                "read_reply": lambda *_: {"answer": pair.expected(self.call)},
                "write_reply": lambda *_: json.dumps(pair.expected(self.call)),
            },
            name="scripted from the gold",
        )

    def _pair_fields(self, _messages: Sequence[Message], schema: JsonObject) -> JsonObject:
        asked: JsonObject = schema["properties"]
        renamings = (self.pair.names, self.clients)
        # The wanted fields are the server's in a request and the client's in a reply.
        fitting = max(renamings, key=lambda names: sum(names.get(one) in part["enum"] for one, part in asked.items()))
        return {
            one: fitting[one] if fitting.get(one) in part["enum"] else part["enum"][-1] for one, part in asked.items()
        }


async def run_pairs(pairs: list[Pair], variant: int, shares: Iterable[float], seed: int) -> list[Result]:
    """All candidates of one vocabulary."""
    results: list[Result] = []
    for pair in pairs:
        stage = Stage(pair)
        try:
            played: dict[Program, dict[tuple[Carrying, Role, Form], Result]] = {}
            for case in cases(pair, variant, shares, seed):
                # The same candidate meets the same requests in each setting: nothing about it is left to chance.
                same = played.setdefault(case.program, {})
                place = (case.carrying, case.role, case.form)
                if place not in same:
                    same[place] = await stage.play(case)
                results.append(replace(same[place], case=case))
        finally:
            await stage.aclose()
    return results


def cases(pair: Pair, variant: int, shares: Iterable[float], seed: int) -> Iterable[Case]:
    """What the stand-in returns for one pair, in each setting."""
    for share in shares:
        for carrying, forms in FORMS.items():
            for role in ROLES:
                for form in forms:
                    name = f"{seed} {variant} {pair.service} {pair.method} {share} {carrying} {role} {form}"
                    chance = random.Random(name)
                    kind, program = None, right(pair)
                    if chance.random() < share:
                        kind, program = _mutated(pair, form, chance)
                    yield Case(
                        pair=pair, variant=variant, share=share, carrying=carrying, role=role, form=form,
                        kind=kind, program=program,
                    )  # fmt: skip


def _mutated(pair: Pair, form: Form, chance: random.Random) -> tuple[str | None, Program]:
    for kind in chance.sample(list(MUTATIONS), len(MUTATIONS)):
        program = mutant(pair, kind, form, chance)
        if program is not None:
            return kind, program
    return None, right(pair)


class Stage:
    """A client and a server for one pair; the routine on trial is the client's or the server's."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.gold = Gold(pair)
        self.service = Service(pair.service, [pair], self.gold.model)
        transport = MemoryTransport()
        transport.serve(SERVER, self.service.agent.handler())
        self.client = Agent(self.gold.model, name="client", state="memory", transport=transport)
        self.task = Task(
            pair.client_description,
            input=pair.client_takes,
            output=pair.client_gives,
            effect="transactional" if pair.transactional else "safe",
            natural_language=False,
        )

    async def aclose(self) -> None:
        """Close both agents."""
        await self.client.aclose()
        await self.service.agent.aclose()

    async def play(self, case: Case) -> Result:
        """Put the candidate on the shelf, ask all recorded calls, and clear the shelf.

        One that is taken out of service ends the play: what follows is the structured tier's alone.
        """
        document = document_for(case)
        agent = self.client if case.role == "sender" else self.service.agent
        half = self._half(case, document)
        result = Result(case)
        left: Runnable | None = put_candidate(agent.engine, half, routine_for(case, half), examples=0)
        if case.role == "sender":
            self._prepare_server(document, case)
            self.client.engine.agreements.agree(self.task.digest, SERVER, document.hash, 86_400.0)
        self.client.engine.documents.put(document)
        self.service.agent.engine.documents.put(document)
        for call in self.pair.calls:
            self.gold.call = call
            self.service.called.clear()
            tier, got = await (self._ask(call) if case.role == "sender" else self._serve(call, document))
            outcome = "refused" if got is None else "right" if self._right(call, got) else "wrong"
            result.counts[tier, outcome] += 1
            await agent.settle()
            left = agent.engine.routines.get(*half.place)
            if left is None or left.routine.state == "demoted":
                break
        if left is not None:
            result.state = left.routine.state
            agent.engine.routines.drop(left.routine)
        for key in list(agent.engine.text.keys("examples/")):
            agent.engine.text.delete(key)
        self.gold.model.calls.clear()
        return result

    def _half(self, case: Case, document: ProtocolDocument) -> Half:
        if case.role == "sender":
            return sender_half(self.client.engine, self.task, document)
        engine = self.service.agent.engine
        return receiver_half(engine, document, engine.tools[self.pair.method])

    def _prepare_server(self, document: ProtocolDocument, case: Case) -> None:
        if case.carrying == "prose":
            tool = self.service.agent.engine.tools[self.pair.method]
            self.service.agent.register(document, tool.call)

    async def _ask(self, call: JsonObject) -> tuple[str, JsonValue]:
        try:
            outcome = await self.client.ask(SERVER, self.task, self.pair.ask(call))
        except NegotiatorError as error:
            return f"refused: {type(error).__name__}", None
        return outcome.tier, outcome.json

    async def _serve(self, call: JsonObject, document: ProtocolDocument) -> tuple[str, JsonValue]:
        engine = self.service.agent.engine
        context = ExchangeContext(dialect="agora-2025", deadline=Deadline.after(60, engine.clock))
        request = Request(body=self.pair.ask(call), hashes=document.aliases, idempotency_key=engine.new_id())
        try:
            reply = await answer(engine, request, context)
        except NegotiatorError as error:
            return f"refused: {type(error).__name__}", None
        return (reply.tier, reply.body) if reply.status == "success" else (f"refused: {reply.code}", None)

    def _right(self, call: JsonObject, got: JsonValue) -> bool:
        called = [(method, self.pair.meant(parameters)) for method, parameters in self.service.called]
        done = called == [(self.pair.method, self.pair.meant(call["parameters"]))]
        return done and bool(got == self.pair.expected(call))


def document_for(case: Case) -> ProtocolDocument:
    """The sender's routine is for the server's document, the receiver's for one in the client's vocabulary."""
    pair = case.pair
    ours = case.role == "sender"
    document = draft_document(
        name=f"{pair.service} {pair.method} {case.variant if not ours else ''}".strip(),
        description=pair.description if ours else pair.client_description,
        request_schema=pair.takes if ours else pair.client_takes,
        reply_schema=pair.gives if ours else pair.client_gives,
        effect="transactional" if pair.transactional else "safe",
    )
    if case.carrying == "examples":
        return document
    annex = document.annex
    if case.carrying == "prose" or annex is None:
        return ProtocolDocument.from_text(document.text.partition("## Annex")[0] + "\n")
    bare = document.text.partition("## Annex")[0] + write_annex(replace(annex, examples=()))
    return ProtocolDocument.from_text(bare)


def routine_for(case: Case, half: Half) -> Routine:
    """The candidate in its form."""
    into, back, source = Direction(), Direction(), ""
    whole = case.role == "receiver" and not half.has_schemas
    if case.form == "mapping":
        into, back = as_mapping(case.program)
    elif whole:
        source = as_handler(case.program, case.pair.method)
    else:
        into, back, source = as_code(case.program, case.role)
    return Routine(
        protocol_hash=half.document.hash, role=half.role, kind=case.form, key_digest=half.key_digest,
        into=into, back=back, source=source, tool=half.tool, whole=whole, made_by="stand-in",
    )  # fmt: skip


def summary(share: float, carrying: Carrying, results: list[Result]) -> dict[str, Any]:
    """One setting."""
    here = [each for each in results if each.case.share == share and each.case.carrying == carrying]
    mutants = [each for each in here if each.case.kind is not None]
    sound = [each for each in here if each.case.kind is None]
    counts = _sum(here)
    return {
        "share": share,
        "document": carrying,
        "candidates": len(here),
        "mutants": len(mutants),
        "mutants_that_served": sum(_served(each) > 0 for each in mutants),
        "by_routine": counts["routine", "right"] + counts["routine", "wrong"],
        "wrong_by_routine": counts["routine", "wrong"],
        "by_structured": counts["structured", "right"] + counts["structured", "wrong"],
        "wrong_by_structured": counts["structured", "wrong"],
        "refused": sum(count for (_, what), count in counts.items() if what == "refused"),
        "right_routines_that_served": sum(_served(each) > 0 for each in sound),
        "structured_exchanges_a_right_routine": _mean([_tier(each, "structured") for each in sound]),
        "wrong": [each.case.describes for each in here if each.counts["routine", "wrong"]],
    }


def of_kind(kind: str, carrying: Carrying, results: list[Result]) -> dict[str, Any]:
    """One kind of mutant, over all settings."""
    here = [each for each in results if each.case.kind == kind and each.case.carrying == carrying]
    counts = _sum(here)
    return {
        "kind": kind,
        "document": carrying,
        "mutants": len(here),
        "demoted": sum(each.state == "demoted" for each in here),
        "served": sum(_served(each) > 0 for each in here),
        "by_routine": counts["routine", "right"] + counts["routine", "wrong"],
        "wrong_by_routine": counts["routine", "wrong"],
    }


def _sum(results: Iterable[Result]) -> Counter[tuple[str, str]]:
    return sum((each.counts for each in results), Counter())


def _tier(result: Result, tier: str) -> int:
    return sum(count for (at, _), count in result.counts.items() if at == tier)


def _served(result: Result) -> int:
    return _tier(result, "routine")


def _mean(values: Sequence[int]) -> float | None:
    return round(sum(values) / len(values), 2) if values else None


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"# mutants, split {report['split']}, vocabularies {', '.join(f'v{each}' for each in report['variants'])}",
        "",
        (
            f"Data: {report['data']}. Model: {report['model']}. {report['requests']} requests a candidate, seed "
            f"{report['seed']}. Machine: {report['machine']['processor']}, {report['machine']['cores']} cores, "
            f"{report['seconds']} s."
        ),
        "",
        (
            "| mutants with probability | document carries | candidates | mutants | of them served | "
            "answered by a routine | wrong | rate | right routines that served | structured exchanges each |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["settings"]:
        rate = row["wrong_by_routine"] / row["by_routine"] if row["by_routine"] else 0.0
        lines.append(
            f"| {row['share']} | {row['document']} | {row['candidates']} | {row['mutants']} | "
            f"{row['mutants_that_served']} | {row['by_routine']} | {row['wrong_by_routine']} | {100 * rate:.2f} % | "
            f"{row['right_routines_that_served']} | {row['structured_exchanges_a_right_routine']} |"
        )
    lines += ["", "| kind | document carries | mutants | demoted | served | answered by them | wrong |"]
    lines += ["|---|---|---|---|---|---|---|"]
    lines += [
        f"| {row['kind']} | {row['document']} | {row['mutants']} | {row['demoted']} | {row['served']} | "
        f"{row['by_routine']} | {row['wrong_by_routine']} |"
        for row in report["kinds"]
    ]
    refused = sum(row["refused"] for row in report["settings"])
    wrong = sum(row["wrong_by_structured"] for row in report["settings"])
    lines += ["", f"Answered wrongly by the scripted structured tier: {wrong}; refused: {refused}.", ""]
    return "\n".join(lines)
