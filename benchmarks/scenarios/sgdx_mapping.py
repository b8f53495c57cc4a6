"""Mapping inference on SGD-X: which field of one schema is which of another, where nobody says so.

For each (service, intent, variant), the request from a client's slots to the server's and the reply the other way,
with the slots shuffled, whole or with slots missing. Margins are chosen on one split and scored on another. Whole
mappings are right, wrong, incomplete, refused, or impossible where a required field has no counterpart at all.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.answers import open_kept
from benchmarks.data import data_directory
from benchmarks.machine import machine
from benchmarks.mapping_cases import REMOVALS, VARIANTS, Case, Removal, cases, is_possible
from benchmarks.mapping_fit import fitted
from benchmarks.mapping_scores import (
    FIRM_WRONG,
    MARGINS,
    WRONG,
    Scored,
    field_tally,
    firm_margin,
    least_margin,
    lexicon_empty,
    lexicon_without,
    mapping_tally,
    occurrences,
    score,
    scored,
)
from benchmarks.plots import line_plot
from benchmarks.scenarios.sgdx_data import split_directory
from negotiator.clock import Deadline, SystemClock
from negotiator.directions import settle
from negotiator.embeddings import SentenceEncoder
from negotiator.errors import DeadlinePassed, ModelError
from negotiator.interpret import Interpreter
from negotiator.ledger import Account
from negotiator.mapping import PairInference, Thresholds, question_for
from negotiator.mapping.inference import pair_of
from negotiator.models.base import Model
from negotiator.models.scripted import UnknownPrompt
from negotiator.pairing import FIRM
from protocol_docs.search_index import Embedder

LEXICONS = ("whole", "held-out", "none")
_EVERY = ("right", "wrong", "incomplete", "refused", "impossible")
_QUESTION_SECONDS = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="the folder that holds sgd/<split>; else NEGOTIATOR_DATA")
    parser.add_argument("--split", default="dev", help="the split that is scored (default: dev)")
    parser.add_argument("--train", default="train", help="the split that margins are chosen on (default: train)")
    parser.add_argument("--embeddings", action="store_true", help="with embeddings (the extra `embeddings`)")
    parser.add_argument("--examples", action="store_true", help="with values that either side has seen")
    parser.add_argument("--model", default="none", help="asked where rules leave a mapping open (default: none)")
    parser.add_argument("--model-cases", type=int, default=0, help="cases it is asked about at most; 0: all")
    parser.add_argument(
        "--minutes", type=float, help="for the model; what it has no time for stays open (default: all)"
    )
    parser.add_argument("--lexicon", choices=LEXICONS, default="whole", help="ablation: the list of words")
    parser.add_argument("--no-complete-bonus", action="store_true", help="ablation: a whole fit is no evidence")
    parser.add_argument("--margin", type=float, help="in place of the shipped one")
    parser.add_argument("--conditions", nargs="+", choices=REMOVALS, default=list(REMOVALS), help="default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of shuffling and removing (default: 0)")
    parser.add_argument("--yes", action="store_true", help="fetch the weights of the local model without asking")
    parser.add_argument("--fit", action="store_true", help="fit the weights of the evidence on the training split only")


@dataclass
class _Setting:
    """What is held the same through one run."""

    embedder: Embedder | None
    examples: bool
    lexicon: str
    complete_bonus: float
    seeds: Sequence[int]
    occurring: dict[str, set[str]] = field(default_factory=dict)

    @contextlib.contextmanager
    def lexicon_for(self, case: Case) -> Iterator[None]:
        """The lexicon that this case is read with."""
        with contextlib.ExitStack() as stack:
            if self.lexicon == "none":
                stack.enter_context(lexicon_empty())
            elif self.lexicon == "held-out":
                stack.enter_context(lexicon_without(_group(case.service), self.occurring))
            yield


def _group(service: str) -> str:
    """The services of one matter: `Hotels` of `Hotels_4`, and of `Hotels_43` as a variant calls it."""
    return service.split("_", maxsplit=1)[0]


def run(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run it, write OUT/report.json, report.md and risk_coverage.svg, and return the report."""
    data = data_directory(arguments.data)
    directories = {name: split_directory(data, name) for name in (arguments.train, arguments.split)}
    out.mkdir(parents=True, exist_ok=True)
    if arguments.fit:
        report = fitted(directories[arguments.train], SentenceEncoder() if arguments.embeddings else None)
        (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (out / "report.md").write_text(f"```json\n{json.dumps(report, indent=2)}\n```\n", encoding="utf-8")
        return report
    setting = _Setting(
        SentenceEncoder() if arguments.embeddings else None,
        arguments.examples,
        arguments.lexicon,
        0.0 if arguments.no_complete_bonus else Thresholds().complete_bonus,
        arguments.seeds,
    )
    if arguments.lexicon == "held-out":
        setting.occurring = occurrences(
            (
                json.loads((directory / f"schema_v{variant}.json").read_text(encoding="utf-8"))
                for directory in directories.values()
                for variant in (0, *VARIANTS)
            ),
            _group,
        )
    started = time.monotonic()
    train = {removal: _scored(directories[arguments.train], removal, setting) for removal in arguments.conditions}
    margin = Thresholds().margin if arguments.margin is None else arguments.margin
    tested = {removal: _scored(directories[arguments.split], removal, setting) for removal in arguments.conditions}
    alone = {removal: _alone(train[removal], found) for removal, found in tested.items()}
    inferred = time.monotonic() - started
    asked: dict[str, Any] | None = None
    model = open_kept(arguments.model, out / "answers.jsonl")
    if arguments.model != "none":
        seconds = None if arguments.minutes is None else arguments.minutes * 60
        asked = asyncio.run(_ask(tested, margin, model, arguments.model_cases, seconds))
    count = sum(len(found) for found in (*train.values(), *tested.values()))
    report = {
        "benchmark": "sgdx-mapping",
        "data": "Schema-Guided Dialogue and SGD-X, Google, CC BY-SA 4.0",
        "split": arguments.split,
        "margins_chosen_on": arguments.train,
        "seeds": list(arguments.seeds),
        "model": model.name,
        "embeddings": setting.embedder.name if setting.embedder else None,
        "examples": arguments.examples,
        "lexicon": arguments.lexicon,
        "complete_bonus": setting.complete_bonus,
        "margin": margin,
        "least_margin": least_margin(train),
        "shipped": {"margin": Thresholds().margin, "firm": FIRM},
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
        "milliseconds_a_case": round(1000 * inferred / count, 1),
        "conditions": {removal: _condition(found, margin) for removal, found in tested.items()},
        "alone": alone,
        "train": {removal: _summary(found, margin) for removal, found in train.items()},
        "risk_coverage": {removal: _curve(found) for removal, found in tested.items()},
        "firm": _firm(train),
        "asked": asked,
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    (out / "risk_coverage.svg").write_text(plot(report), encoding="utf-8")
    return report


def _scored(directory: Path, removal: Removal, setting: _Setting) -> list[Scored]:
    found = []
    for seed in setting.seeds:
        for case in cases(directory, remove=removal, seed=seed, examples=setting.examples):
            with setting.lexicon_for(case):
                found.append(score(case, complete_bonus=setting.complete_bonus, embedder=setting.embedder))
        _progress(f"{directory.name}, removed: {removal}, seed {seed}: {len(found)} cases")
    return found


async def _ask(
    tested: dict[Removal, list[Scored]], margin: float, model: Model, most: int, seconds: float | None
) -> dict[str, Any]:
    """Put what is open at the margin to the model, in place; what it was asked and what it cost."""
    account, started = Account(), time.monotonic()
    counts = dict.fromkeys(("open", "asked", "failed"), 0)
    try:
        for removal, found in tested.items():
            for at, one in enumerate(found):
                at_margin = _at_margin(one, margin)
                if at_margin.complete or question_for(at_margin) is None:
                    continue
                counts["open"] += 1
                late = seconds is not None and time.monotonic() - started > seconds
                if late or (most and counts["asked"] >= most):
                    continue
                interpreter = Interpreter(model, account, Deadline.after(_QUESTION_SECONDS, SystemClock()))
                try:
                    settled = await settle(interpreter, at_margin, one.case.description)
                except UnknownPrompt:
                    # A recording of a run that was stopped ends here.
                    continue
                except (ModelError, DeadlinePassed):
                    counts["failed"] += 1
                    continue
                counts["asked"] += 1
                found[at] = scored(one.case, settled.problem)
                _progress(
                    f"{time.monotonic() - started:6.0f} s  {removal}: {one.case.service} {one.case.intent} "
                    f"v{one.case.variant}: {one.pair[margin]} -> {found[at].pair[margin]}"
                )
    finally:
        await model.aclose()
    usage = account.usage
    return counts | {
        "model_calls": usage.calls,
        "tokens": usage.tokens,
        "model_seconds": round(usage.seconds, 1),
    }


def _at_margin(one: Scored, margin: float) -> PairInference:
    return pair_of(replace(one.problem, thresholds=replace(one.problem.thresholds, margin=margin)))


def _summary(found: Sequence[Scored], margin: float) -> dict[str, Any]:
    whole, fields = mapping_tally(found, margin), field_tally(found, margin)
    return {
        "n": len(found),
        "mappings": {
            "right_of_possible": whole.share("right", ("possible",)).to_json(),
            "wrong_of_all": whole.share("wrong", _EVERY).to_json(),
            "refused_of_impossible": _refused_share(found, margin),
        },
        "fields": {
            "right_of_those_with_a_counterpart": fields.share(
                "right", ("right", "left", "wrong_of_counterpart")
            ).to_json(),
            "wrong_of_used": fields.share("wrong", ("right", "wrong")).to_json(),
        },
    }


def _refused_share(found: Sequence[Scored], margin: float) -> float | None:
    verdicts = [
        verdict
        for one in found
        for direction, verdict in zip(("request", "reply"), one.verdicts[margin], strict=True)
        if not is_possible(one.case, direction)  # type: ignore[arg-type]
    ]
    return round(verdicts.count("impossible") / len(verdicts), 4) if verdicts else None


def _condition(found: Sequence[Scored], margin: float) -> dict[str, Any]:
    variants = {
        f"v{variant}": _summary([one for one in found if one.case.variant == variant], margin) for variant in VARIANTS
    }
    means = {
        kind: round(sum(each[kind][name]["share"] for each in variants.values()) / len(variants), 4)
        for kind, name in (("mappings", "right_of_possible"), ("fields", "right_of_those_with_a_counterpart"))
    }
    counts = mapping_tally(found, margin)
    return _summary(found, margin) | {
        "counts": {name: sum(each[name] for each in counts.counts.values()) for name in _EVERY},
        "right_and_used_mean_of_variants": means,
        "variants": variants,
        "wrong": [
            f"{one.case.service} {one.case.intent} v{one.case.variant}" for one in found if one.pair[margin] == "wrong"
        ],
    }


def _alone(train: Sequence[Scored], found: Sequence[Scored]) -> dict[str, Any]:
    """The figures at the margin that the condition would have, if no other were looked at."""
    margin = least_margin({"": train})
    return {"margin": margin} | _condition(found, margin)


def _curve(found: Sequence[Scored]) -> list[dict[str, float]]:
    rows = []
    for margin in MARGINS:
        whole, fields = mapping_tally(found, margin), field_tally(found, margin)
        rows.append(
            {
                "margin": margin,
                "mappings_coverage": round(whole.plain("right", ("possible",)), 4),
                "mappings_risk": round(whole.plain("wrong", _EVERY), 4),
                "fields_coverage": round(fields.plain("right", ("right", "left", "wrong_of_counterpart")), 4),
                "fields_risk": round(fields.plain("wrong", ("right", "wrong")), 4),
            }
        )
    return rows


def _firm(train: dict[Removal, list[Scored]]) -> dict[str, Any]:
    """How many pairs from each margin on are wrong on the training split, in each condition."""
    table = {
        removal: {
            str(margin): field_tally(found, margin).share("wrong", ("right", "wrong")).to_json() for margin in MARGINS
        }
        for removal, found in train.items()
    }
    return {"at_most": FIRM_WRONG, "margin": firm_margin(train), "wrong_from": table}  # type: ignore[arg-type]


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    how = [f"embeddings {report['embeddings'] or 'none'}", f"model {report['model']}", f"lexicon {report['lexicon']}"]
    how += ["with examples"] if report["examples"] else []
    lines = [
        f"# sgdx-mapping, split {report['split']}, {', '.join(how)}",
        "",
        (
            f"Data: {report['data']}. Seeds {report['seeds']}. Machine: {report['machine']['processor']}, "
            f"{report['machine']['cores']} cores; {report['seconds']} s, {report['milliseconds_a_case']} ms a case and "
            f"margin sweep."
        ),
        "",
        (
            f"Margin {report['margin']} (shipped: {report['shipped']['margin']}). The least one at which at most {WRONG:.0%} "
            f"is wrong in every condition on {report['margins_chosen_on']} is {report['least_margin']}; at {report['margin']} "
            f"the wrong there are, of all whole mappings, {_wrong_by_condition(report['train'])}. Intervals are of 95 %, over resampled services."
        ),
        "",
        (
            "| removed | n | mappings right, of possible | mean of v1 to v5 | wrong, of all | impossible refused "
            "| fields right, of those with a counterpart | mean of v1 to v5 | wrong, of used |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for removal, each in report["conditions"].items():
        whole, fields, means = each["mappings"], each["fields"], each["right_and_used_mean_of_variants"]
        lines.append(
            f"| {removal} | {each['n']} | {_share(whole['right_of_possible'])} | {means['mappings']:.1%} "
            f"| {_share(whole['wrong_of_all'])} | {_plain(whole['refused_of_impossible'])} "
            f"| {_share(fields['right_of_those_with_a_counterpart'])} | {means['fields']:.1%} "
            f"| {_share(fields['wrong_of_used'])} |"
        )
    lines += [
        "",
        (
            "The same, each condition at the margin that the training split gives it alone: who uses a mapping does not "
            "know which condition holds, so that this is what each would be worth by itself. Before any model is asked."
        ),
        "",
        "| removed | margin | mappings right, of possible | mean of v1 to v5 | wrong, of all | fields right | wrong, of used |",
        "|---|---|---|---|---|---|---|",
    ]
    for removal, each in report["alone"].items():
        whole, fields, means = each["mappings"], each["fields"], each["right_and_used_mean_of_variants"]
        lines.append(
            f"| {removal} | {each['margin']} | {_share(whole['right_of_possible'])} | {means['mappings']:.1%} "
            f"| {_share(whole['wrong_of_all'])} | {_share(fields['right_of_those_with_a_counterpart'])} "
            f"| {_share(fields['wrong_of_used'])} |"
        )
    lines += ["", "Risk and coverage, by margin (whole mappings; fields):", ""]
    lines += [
        "| margin | " + " | ".join(report["risk_coverage"]) + " |",
        "|---" * (len(report["conditions"]) + 1) + "|",
    ]
    for at, margin in enumerate(MARGINS):
        rows = [curve[at] for curve in report["risk_coverage"].values()]
        cells = [
            f"{row['mappings_coverage']:.1%} at {row['mappings_risk']:.1%}; "
            f"{row['fields_coverage']:.1%} at {row['fields_risk']:.2%}"
            for row in rows
        ]
        lines.append(f"| {margin} | {' | '.join(cells)} |")
    firm = report["firm"]
    lines += [
        "",
        (
            f"Firm pairs: on {report['margins_chosen_on']}, the share of pairs from a margin on that are wrong is at most "
            f"{firm['at_most']:.1%} in every condition from {firm['margin']} on (shipped: {report['shipped']['firm']})."
        ),
        "",
        "| margin | " + " | ".join(firm["wrong_from"]) + " |",
        "|---" * (len(firm["wrong_from"]) + 1) + "|",
    ]
    lines += [
        f"| {margin} | {' | '.join(_share(table[str(margin)]) for table in firm['wrong_from'].values())} |"
        for margin in MARGINS
    ]
    if report["asked"]:
        asked = report["asked"]
        lines += [
            "",
            (
                f"The model was asked about {asked['asked']} of {asked['open']} open cases: {asked['model_calls']} calls, "
                f"{asked['tokens']} tokens, {asked['model_seconds']} s."
            ),
        ]
    return "\n".join([*lines, ""])


def _wrong_by_condition(train: dict[str, Any]) -> str:
    return ", ".join(f"{each['mappings']['wrong_of_all']['share']:.2%} ({removal})" for removal, each in train.items())


def _share(value: dict[str, Any]) -> str:
    low, high = value["interval"]
    return f"{value['share']:.1%} ({value['count']}/{value['of']}; {low:.1%} to {high:.1%})"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def plot(report: dict[str, Any]) -> str:
    """Coverage of fields over the risk that goes with it, a line a condition."""
    curves = report["risk_coverage"]
    lines = {}
    grid = [step / 1000 for step in range(31)]
    for removal, rows in curves.items():
        lines[f"{removal}: fields"] = [
            max((row["fields_coverage"] for row in rows if row["fields_risk"] <= risk), default=0.0) for risk in grid
        ]
        lines[f"{removal}: mappings"] = [
            max((row["mappings_coverage"] for row in rows if row["mappings_risk"] <= risk), default=0.0)
            for risk in grid
        ]
    title = f"sgdx-mapping {report['split']}: embeddings {report['embeddings'] or 'none'}, model {report['model']}"
    return line_plot(title, "wrong and used, at most", "right and used", grid, lines)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
