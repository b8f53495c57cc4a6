"""Do two agents with language models reach an agreement on a protocol, and is it worth something?

An asker in one vocabulary of SGD-X, a server in the original one, under three conditions on the same pairs: each is
shown the other's schemas, one is, or both see descriptions alone. An agreement counts where both name one hash, both
have verified a routine of their own for it, and all calls that were held out are right. What rules reached without a
model is counted apart.

Success of negotiations between language models has been published for tasks (arXiv 2605.11376); this is about
protocols, so that the figures stand beside each other and are not to be compared.
"""

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.answers import RECORDED, SCRIPTED, open_kept
from benchmarks.data import data_directory
from benchmarks.errands import Errand, Gold, sgd_errands
from benchmarks.machine import machine
from benchmarks.meeting import CONDITIONS, Condition, Meeting
from benchmarks.progress import Progress
from benchmarks.scenarios.negotiation_report import figures, markdown, paired, plot, reason
from benchmarks.scenarios.sgdx_data import split_directory
from benchmarks.transcripts import Transcript
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Model
from negotiator.models.prices import PRICES_AS_OF, USD_PER_MILLION

BUILD: Final = 6
"""Calls that routines are verified on, at most: three shadowed exchanges, and as many misses and repairs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="the folder that holds sgd/<split>; else NEGOTIATOR_DATA")
    parser.add_argument("--split", default="dev", help="the folder of the split (default: dev)")
    parser.add_argument("--model-a", default="scripted", help="the asker's: scripted, recorded, none or a name")
    parser.add_argument("--model-b", default="scripted", help="the server's (default: scripted, both)")
    parser.add_argument("--pairs", type=int, default=60, help="task pairs (default: 60)")
    parser.add_argument("--variants", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="vocabularies (default: all)")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS), help="default: all")
    parser.add_argument("--held-out", type=int, default=20, help="calls that an agreement is judged by (default: 20)")
    parser.add_argument("--shadows", type=int, default=3, help="exchanges that verify a routine (default: 3)")
    parser.add_argument("--servers-documents-only", action="store_true", help="ablation: askers' are not agreed to")
    parser.add_argument("--priced-as", choices=sorted(USD_PER_MILLION), default="gpt-5-mini", help="for the money")
    parser.add_argument("--minutes", type=float, help="no pair is begun after so long; the next run goes on")
    parser.add_argument("--seed", type=int, default=0)


@dataclass(frozen=True, slots=True)
class _Setting:
    arguments: argparse.Namespace
    out: Path
    models: tuple[Model, Model]
    gold: Gold | None
    until: float
    """On the machine's clock; no pair is begun after it."""

    def header(self, condition: Condition) -> JsonObject:
        """What has to be the same for a row to stand."""
        given = self.arguments
        return {
            "benchmark": "negotiation", "condition": condition, "split": given.split, "pairs": given.pairs,
            "variants": given.variants, "held_out": given.held_out, "shadows": given.shadows,
            "servers_documents_only": given.servers_documents_only, "seed": given.seed,
            "models": [model.name for model in self.models],
        }  # fmt: skip


def run(arguments: argparse.Namespace, out: Path) -> JsonObject:
    """Run it, write OUT/report.json, report.md, agreements.svg and the transcripts, and return the report."""
    directory = split_directory(data_directory(arguments.data), arguments.split)
    errands = sgd_errands(
        directory,
        variants=arguments.variants,
        count=arguments.pairs,
        build=BUILD,
        held_out=arguments.held_out,
        seed=arguments.seed,
    )
    out.mkdir(parents=True, exist_ok=True)
    gold = Gold() if SCRIPTED in (arguments.model_a, arguments.model_b) else None
    models = _models(arguments, out, gold)
    started = time.monotonic()
    until = started + 60 * arguments.minutes if arguments.minutes is not None else float("inf")
    setting = _Setting(arguments, out, models, gold, until)
    rows = asyncio.run(_all(setting, errands))
    report: JsonObject = {
        "benchmark": "negotiation",
        "data": "Schema-Guided Dialogue and SGD-X, Google, CC BY-SA 4.0",
        "split": arguments.split,
        "variants": arguments.variants,
        "pairs": len(errands),
        "whole": all(len(found) == len(errands) for found in rows.values()),
        "held_out": arguments.held_out,
        "shadows": arguments.shadows,
        "servers_documents_only": arguments.servers_documents_only,
        "seed": arguments.seed,
        "models": {"asker": models[0].name, "server": models[1].name},
        "priced_as": {"model": arguments.priced_as, "as_of": PRICES_AS_OF},
        "conditions": {condition: figures(found, arguments.priced_as) for condition, found in rows.items()},
        "paired": paired(rows),
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    (out / "agreements.svg").write_text(plot(report), encoding="utf-8")
    return report


def _models(arguments: argparse.Namespace, out: Path, gold: Gold | None) -> tuple[Model, Model]:
    """The asker's and the server's: one and the same where they have one name, with one recording."""
    scripted = None if gold is None else gold.model
    first = open_kept(arguments.model_a, out / "answers.a.jsonl", scripted)
    beside = out / "answers.b.jsonl"
    alike = arguments.model_a == arguments.model_b
    if alike and not (arguments.model_b == RECORDED and beside.exists()):
        return first, first
    return first, open_kept(arguments.model_b, beside, scripted)


async def _all(setting: _Setting, errands: list[Errand]) -> dict[str, list[JsonObject]]:
    transcripts = {
        condition: Transcript(setting.out / "transcripts" / f"{condition}.jsonl", setting.header(condition))
        for condition in setting.arguments.conditions
    }
    progress = Progress()
    try:
        # Pair by pair, so that a run that is stopped has the same pairs under each condition.
        for at, errand in enumerate(errands):
            for condition, transcript in transcripts.items():
                if at < len(transcript.rows) or time.monotonic() > setting.until:
                    continue
                progress.at(f"{errand.name}: {at + 1} of {len(errands)}, {condition}")
                transcript.add(await meet(setting, errand, condition))
    finally:
        progress.end()
        for model in {id(each): each for each in setting.models}.values():
            await model.aclose()
    whole = min(len(transcript.rows) for transcript in transcripts.values())
    return {condition: transcript.rows[:whole] for condition, transcript in transcripts.items()}


async def meet(setting: _Setting, errand: Errand, condition: Condition) -> JsonObject:
    """One row of the transcript."""
    given = setting.arguments
    async with Meeting(
        errand,
        condition,
        setting.models,
        askers_documents=not given.servers_documents_only,
        shadows=given.shadows,
        gold=setting.gold,
    ) as meeting:
        met = await meeting.run()
    row: JsonObject = {
        "pair": errand.name,
        "tool": errand.offer.name,
        "condition": condition,
        **asdict(met),
        "verified": met.verified,
    }
    row["reason"] = reason(row)
    return row
