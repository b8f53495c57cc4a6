"""From how many calls of a function on does an agreement pay, and what do 1,000 calls take? The live functions of BFCL.

For each function: what one exchange in natural language takes (the data set's own question, read by the function's
agent, and the reply read by the asker), and what an agreement takes until both sides have verified routines. Under
schemas rules alone agree; under a document in prose, both sides' models write the code, which is the case that compiled
agents have published figures for (Compiled AI, arXiv 2604.05150).

A routine takes what is said in fields. Where each call is a new sentence, somebody has to read it each time: that is a
row of its own.
"""

import argparse
import asyncio
import hashlib
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.answers import SCRIPTED, open_kept
from benchmarks.bfcl_functions import GIVES, Function, Question, first_right, is_right, read_functions
from benchmarks.data import named_directory
from benchmarks.errands import Errand, Exchange, Gold, as_given
from benchmarks.machine import machine
from benchmarks.meeting import Meeting
from benchmarks.plots import line_plot
from benchmarks.progress import Progress
from benchmarks.shares import share, shown
from benchmarks.transcripts import Transcript
from negotiator import Task
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.errors import NegotiatorError
from negotiator.interpret import Interpreter, body_text
from negotiator.jsonvalue import JsonObject
from negotiator.ledger import Account
from negotiator.messages import Request
from negotiator.models.base import Model, Usage
from negotiator.models.scripted import UnknownPrompt
from negotiator.serving import ExchangeContext
from protocol_docs.examples import examples_of

PUBLISHED: Final = {"break_even_calls": 17, "times_fewer_tokens_at_1000": 57, "of": "Compiled AI, arXiv 2604.05150"}
"""BFCL, n = 400, as its abstract says; another model, and workflows in place of two agents."""
BUILD: Final = 6
AT: Final = 1_000
"""Calls of a function."""
WAYS: Final = ("schemas", "prose")
MARKS: Final = (1, 2, 3, 4, 6, 8, 10, 14, 17, 20, 25, 30, 40, 50, 60)
"""Numbers of calls that the plot has."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="the folder that holds bfcl/; else NEGOTIATOR_DATA")
    parser.add_argument("--model", default="scripted", help="of both sides: scripted, recorded or a name")
    parser.add_argument("--functions", type=int, default=0, help="drawn by the seed (default: all)")
    parser.add_argument("--held-out", type=int, default=40, help="calls after both routines serve (default: 40)")
    parser.add_argument("--shadows", type=int, default=3, help="exchanges that verify a routine (default: 3)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="ablation (default: both)")
    parser.add_argument("--minutes", type=float, help="no function is begun after so long; the next run goes on")
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace, out: Path) -> JsonObject:
    """Run it, write OUT/report.json, report.md, tokens.svg and the transcript, and return the report."""
    functions, left_out = read_functions(named_directory(arguments.data) / "bfcl")
    chosen = functions
    if 0 < arguments.functions < len(functions):
        chosen = random.Random(arguments.seed).sample(functions, arguments.functions)
    out.mkdir(parents=True, exist_ok=True)
    gold = Gold() if arguments.model == SCRIPTED else None
    model = open_kept(arguments.model, out / "answers.jsonl", None if gold is None else gold.model)
    started = time.monotonic()
    rows = asyncio.run(_all(arguments, out, chosen, model, gold))
    report: JsonObject = {
        "benchmark": "bfcl",
        "data": "Berkeley Function Calling Leaderboard v4, live functions, Apache-2.0",
        "functions": len(functions),
        "questions_left_out": left_out,
        "n": len(rows),
        "whole": len(rows) == len(chosen),
        "seed": arguments.seed,
        "shadows": arguments.shadows,
        "model": model.name,
        "published": PUBLISHED,
        **figures(rows, arguments.ways),
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    (out / "tokens.svg").write_text(plot(report), encoding="utf-8")
    return report


async def _all(
    arguments: argparse.Namespace, out: Path, functions: list[Function], model: Model, gold: Gold | None
) -> list[JsonObject]:
    header: JsonObject = {
        "benchmark": "bfcl", "model": model.name, "seed": arguments.seed, "functions": len(functions),
        "held_out": arguments.held_out, "shadows": arguments.shadows, "ways": arguments.ways,
    }  # fmt: skip
    transcript = Transcript(out / "transcripts" / "functions.jsonl", header)
    until = time.monotonic() + 60 * arguments.minutes if arguments.minutes is not None else float("inf")
    progress = Progress()
    try:
        for at, function in enumerate(functions[len(transcript.rows) :], len(transcript.rows)):
            if time.monotonic() > until:
                break
            progress.at(f"functions: {at + 1} of {len(functions)}, {function.offer.name}")
            work = _OneFunction(function, arguments, model, gold)
            row: JsonObject = {"function": function.offer.name, "interpreted": await work.interpreted()}
            for way in arguments.ways:
                row[way] = await work.compiled(way)
            transcript.add(row)
    finally:
        progress.end()
        await model.aclose()
    return transcript.rows


def errand_of(function: Function, question: Question, held_out: int) -> Errand:
    """The errand of a caller that says its calls in the function's own fields: recorded calls, then synthetic ones."""
    offer = function.offer
    made = [first_right(each) for each in function.questions] + examples_of(offer.takes, BUILD + held_out)
    calls = list({as_given(each): each for each in made}.values())
    exchanges = []
    for at in range(BUILD + held_out):
        # Some functions have fewer calls than are needed: they come again.
        call = calls[at % len(calls)]
        result = {"accepted": True, "reference": hashlib.sha256(as_given(call).encode()).hexdigest()[:8]}
        exchanges.append(Exchange(asked=call, arguments=call, result=result, answer=result))
    passing = "def encode(task):\n    return task\n\n\ndef decode(reply):\n    return reply\n"
    return Errand(
        name=offer.name,
        task=Task(offer.description, input=offer.takes, output=GIVES, effect="safe", name=offer.name),
        offer=offer,
        others=tuple({each.name: each for each in question.offered if each.name != offer.name}.values()),
        build=tuple(exchanges[:BUILD]),
        held_out=tuple(exchanges[BUILD:]),
        code={"write_sender": passing, "write_receiver": f"def handle(request):\n    return {offer.name}(**request)\n"},
    )


@dataclass(slots=True)
class _OneFunction:
    function: Function
    arguments: argparse.Namespace
    model: Model
    gold: Gold | None

    async def interpreted(self) -> JsonObject:
        """One exchange in natural language: the data set's question, and what reading it and its reply takes."""
        question = self.function.questions[0]
        errand = errand_of(self.function, question, self.arguments.held_out)
        exchange = errand.build[0]
        if self.gold is not None:
            self.gold.errand, self.gold.exchange = errand, exchange
        async with Meeting(errand, "both", (self.model, self.model), gold=self.gold) as meeting:
            engine, account = meeting.server.engine, Account()
            deadline = Deadline.after(600, engine.clock)
            came_to, read = "refused", Usage()
            try:
                reply = await answer(
                    engine, Request(body=question.text), ExchangeContext(dialect="agora-2025", deadline=deadline)
                )
                called = [(name, is_right(question.right, given)) for name, given in meeting.called]
                came_to = "right" if called == [(errand.offer.name, True)] else "wrong" if called else "refused"
                read = meeting.used("server")
                interpreter = Interpreter(self.model, account, deadline)
                if reply.status == "success":
                    await interpreter.read_reply(errand.task, exchange.asked, body_text(reply.body))
            except UnknownPrompt:
                raise
            except NegotiatorError as error:
                return {"came_to": came_to, "why": f"{type(error).__name__}: {error}"[:200], **_tokens(read, account)}
        return {"question": question.id, "came_to": came_to, **_tokens(read, account)}

    async def compiled(self, way: str) -> JsonObject:
        """What an agreement takes until both routines serve, and each call after that."""
        errand = errand_of(self.function, self.function.questions[0], self.arguments.held_out)
        condition = "both" if way == "schemas" else "descriptions"
        models, shadows = (self.model, self.model), self.arguments.shadows
        async with Meeting(errand, condition, models, shadows=shadows, gold=self.gold) as meeting:
            met = await meeting.run()
        return {
            "verified": met.verified,
            "why_not": met.why_not,
            "asker": met.asker,
            "server": met.server,
            "agreeing": met.used("agreeing").tokens,
            "tokens": met.used("agreeing", "building").tokens,
            "calls_until": len(met.building),
            "each": [each["tokens"] for each in (*met.building, *met.held_out)],
            "spent": met.spent,
            "right": sum(each["came_to"] == "right" for each in met.held_out),
            "held_out": len(met.held_out),
        }


def _tokens(read: Usage, replied: Account) -> JsonObject:
    return {"reading": read.tokens, "tokens": read.tokens + replied.usage.tokens, "spent": asdict(read + replied.usage)}


def course(made: JsonObject) -> list[float]:
    """Tokens that were spent by each of the first 1,000 calls: those that were made, then the mean of the last half.

    The first calls after a verdict cost more than later ones: they show the routine what it has not been shown yet.
    """
    each: list[float] = made["each"]
    later = each[-(made["held_out"] // 2) :] if made["held_out"] > 1 else each[-1:]
    tail = statistics.fmean(later) if later else 0.0
    spent, total = [], float(made["agreeing"])
    for at in range(AT):
        total += each[at] if at < len(each) else tail
        spent.append(total)
    return spent


def break_even(spent: list[float], interpreted: float) -> int | None:
    """The call from which on no more was spent than calls in natural language take; None: not within `spent`."""
    behind = [n for n, total in enumerate(spent, 1) if total > n * interpreted]
    return 1 if not behind else behind[-1] + 1 if behind[-1] < len(spent) else None


def figures(rows: list[JsonObject], ways: list[str]) -> JsonObject:
    """Means over functions, and what each way comes to for those that it verified."""
    found: JsonObject = {}
    asked = [row["interpreted"] for row in rows]
    found["interpreted"] = {
        "right": share(sum(each["came_to"] == "right" for each in asked), len(asked)),
        "tokens_a_call": _mean([each["tokens"] for each in asked]),
        "of_them_for_reading_the_request": _mean([each["reading"] for each in asked]),
    }
    found["ways"] = {}
    for way in ways:
        verified = [row for row in rows if row[way]["verified"]]
        spent = [course(row[way]) for row in verified]
        each = [row["interpreted"]["tokens"] for row in verified]
        points = [break_even(one, c) for one, c in zip(spent, each, strict=True)]
        at = [one[-1] for one in spent]
        times = [AT * c / total for total, c in zip(at, each, strict=True) if total]
        calls = sum(row[way]["held_out"] for row in verified)
        reached = [each for each in points if each is not None]
        found["ways"][way] = {
            "verified": share(len(verified), len(rows)),
            "held_out_right": share(sum(row[way]["right"] for row in verified), calls),
            "tokens_until_verified": _mean([row[way]["tokens"] for row in verified]),
            "tokens_a_call_at_last": _mean([one[-1] - one[-2] for one in spent]),
            "never_pays": len(points) - len(reached),
            "break_even_calls": _spread(reached),
            "tokens_at_1000": _mean(at),
            "mean_tokens_at": [_mean([one[n - 1] for one in spent]) for n in MARKS] if spent else None,
            "without_any_token": sum(not each for each in at),
            "times_fewer_tokens_at_1000": _spread(times),
        }
    mean = found["interpreted"]["tokens_a_call"]
    reading = found["interpreted"]["of_them_for_reading_the_request"]
    found["a_sentence_each_time"] = {"times_fewer_tokens": round(mean / reading, 2) if mean and reading else None}
    return found


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 2) if values else None


def _spread(values: Sequence[float]) -> JsonObject | None:
    """Median with its 95 % interval by order statistics, and the 90th percentile."""
    if not values:
        return None
    ordered, n = sorted(values), len(values)
    reach = 0.98 * n**0.5
    low, high = max(0, int(n / 2 - reach)), min(n - 1, int(n / 2 + reach))
    return {
        "median": round(statistics.median(ordered), 2),
        "interval": [round(ordered[low], 2), round(ordered[high], 2)],
        "p90": round(ordered[min(n - 1, int(0.9 * n))], 2),
        "n": n,
    }


def markdown(report: JsonObject) -> str:
    """The report for people."""
    words, published = report["interpreted"], report["published"]
    part = "" if report["whole"] else " **The run is not whole: a further one goes on.**"
    lines = [
        f"# bfcl: {report['n']} live functions, model {report['model']} on both sides",
        "",
        (
            f"Data: {report['data']}; of {report['functions']} functions, seed {report['seed']}; "
            f"{report['questions_left_out']} questions left out. {report['shadows']} shadowed exchanges for a verdict. "
            f"Machine: {report['machine']['processor']}, {report['machine']['cores']} cores.{part}"
        ),
        "",
    ]
    if report["model"] == SCRIPTED:
        lines += [
            (
                "**The model is scripted**: it is given the right answers. Its prompts are those that were really "
                "sent, its tokens counted at four characters each; what is right says nothing of language models."
            ),
            "",
        ]
    lines += [
        (
            f"One exchange in natural language: {words['tokens_a_call']} tokens, {words['of_them_for_reading_the_request']} "
            f"of them for reading the question. Right: {shown(words['right'])}."
        ),
        "",
        (
            "| agreed under | verified (95 %) | calls after that right | tokens until verified | tokens a call at last | "
            "break-even, calls: median (95 %), p90 | tokens at 1,000 calls | times fewer: median (95 %) |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for way, found in report["ways"].items():
        lines.append(
            f"| {way} | {shown(found['verified'])} | {shown(found['held_out_right'])} | {found['tokens_until_verified']} | "
            f"{found['tokens_a_call_at_last']} | {_shown(found['break_even_calls'], p90=True)} | {found['tokens_at_1000']} | "
            f"{_shown(found['times_fewer_tokens_at_1000'])}{_free(found)} |"
        )
    lines += [
        (
            f"| published: {published['of']} | 96 % | - | - | 0 | {published['break_even_calls']} | - | "
            f"{published['times_fewer_tokens_at_1000']} |"
        ),
        "",
        (
            "Where each call is a new sentence, the asker has it read before the routine: "
            f"{report['a_sentence_each_time']['times_fewer_tokens']} times fewer tokens, whatever the number of calls."
        ),
        "",
        (
            f"Tokens at {AT} calls: what the calls that were made took, agreement and verification included, and for each "
            "further one the mean of the last half of those. Where that is nothing, no number of times is left, and no "
            "median has it."
        ),
        "",
    ]
    return "\n".join(lines)


def _free(found: JsonObject) -> str:
    return f"; {found['without_any_token']} functions without any token" if found["without_any_token"] else ""


def _shown(found: JsonObject | None, *, p90: bool = False) -> str:
    if found is None:
        return "-"
    low, high = found["interval"]
    return f"{found['median']} ({low} to {high})" + (f", {found['p90']}" if p90 else "")


def plot(report: JsonObject) -> str:
    """Mean tokens of a function over the number of its calls, as SVG."""
    xs = [float(n) for n in MARKS]
    c, reading = (report["interpreted"][name] or 0.0 for name in ("tokens_a_call", "of_them_for_reading_the_request"))
    lines = {"natural language": [c * x for x in xs], "a sentence each time": [reading * x for x in xs]}
    for way, found in report["ways"].items():
        lines[f"agreed under {way}"] = found["mean_tokens_at"] or [0.0 for _ in xs]
    return line_plot(f"bfcl, model {report['model']}", "calls of a function", "tokens", xs, lines)
