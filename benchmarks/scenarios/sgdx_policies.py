"""`sgdx --traffic`: the same requests under each policy of changing tiers, and behind caches; report and transcripts."""

import argparse
import asyncio
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.answers import SCRIPTED, open_kept, require_answers
from benchmarks.baselines.caches import ExactCache, SemanticCache
from benchmarks.baselines.policies import CONTENDERS
from benchmarks.data import data_directory
from benchmarks.jobs import Tick, run_all
from benchmarks.machine import machine
from benchmarks.scenarios.agora_trace_report import figures, hindsight
from benchmarks.scenarios.sgdx_data import split_directory
from benchmarks.scenarios.sgdx_town import PRICED_AS, Answered, Gold, SgdTown
from benchmarks.scenarios.sgdx_traffic import Request, Shape, draw, load
from benchmarks.shares import KEPT, share, shown
from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.plan import CostPolicy

CACHES: Final = {"exact_cache": ExactCache, "semantic_cache": SemanticCache}
ORDER: Final = (
    "nl_only", "structured_only", "exact_cache", "semantic_cache", "agora_paper", "agora_package", "greedy", "ours",
)  # fmt: skip
GOLD: Final = "gold_adapter"
HINDSIGHT: Final = "hindsight"


@dataclass(frozen=True, slots=True)
class Job:
    """One policy, one traffic."""

    policy: str
    directory: str
    split: str
    shape: Shape
    number: int
    seed: int
    model: str
    out: str

    @property
    def transcript(self) -> Path:
        """Where its lines go."""
        return Path(self.out) / "transcripts" / f"{self.policy}.jsonl"

    def header(self) -> JsonObject:
        """What has to be the same for a transcript to stand for this job."""
        return {name: value for name, value in asdict(self).items() if name not in ("directory", "out")}


def run(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run it, write OUT/report.json, report.md and the transcripts, and return the report. Raises `UsageError`."""
    names = [name for name in arguments.policies.split(",") if name] if arguments.policies else list(ORDER)
    if set(names) - set(ORDER):
        raise UsageError(f"there are the policies {', '.join(ORDER)}")
    directory = split_directory(data_directory(arguments.data), arguments.split)
    (out / "transcripts").mkdir(parents=True, exist_ok=True)
    (out / "answers").mkdir(exist_ok=True)
    jobs = [
        Job(name, str(directory), arguments.split, arguments.traffic, arguments.number, arguments.seed,
            arguments.model, str(out))
        for name in names
    ]  # fmt: skip
    started = time.monotonic()
    run_all(
        [job for job in jobs if _read(job) is None],
        run_job,
        workers=arguments.workers if arguments.model == SCRIPTED else 1,
        named=lambda job: job.policy,
        requests=arguments.number,
        minutes=arguments.minutes,
    )
    report = _report(arguments, jobs)
    report["seconds"] = round(time.monotonic() - started, 1)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    return report


def run_job(job: Job, tick: Tick) -> None:
    """Run one policy and write its transcript; a model's answers are kept beside it and played again."""
    services = load(Path(job.directory), job.seed)
    requests = draw(services, shape=job.shape, number=job.number, seed=job.seed)
    gold = Gold(services)
    lines: list[Answered] = []

    async def at_work() -> JsonObject:
        def note(line: Answered) -> None:
            require_answers(model)
            lines.append(line)

        model = open_kept(job.model, Path(job.out) / "answers" / f"{job.policy}.jsonl", gold.model())
        contender = CONTENDERS["nl_only" if job.policy in CACHES else job.policy]
        cache = CACHES[job.policy]() if job.policy in CACHES else None
        town = SgdTown(contender, services, gold, model, cache)
        try:
            await town.run(requests, note, tick)
        finally:
            await model.aclose()
        documents, routines = town.learned()
        tokens = {name: asdict(used) for name, used in town.meter.items()}
        return {"documents": documents, "routines": routines, "tokens": tokens, "model": model.name}

    summary = asyncio.run(at_work())
    texts = [json.dumps(job.header()), *(json.dumps(line.to_json()) for line in lines), json.dumps(summary)]
    unfinished = job.transcript.with_suffix(".part")
    unfinished.write_text("\n".join(texts) + "\n", encoding="utf-8")
    unfinished.replace(job.transcript)


def _read(job: Job) -> tuple[list[JsonObject], JsonObject] | None:
    if not job.transcript.is_file():
        return None
    header, *lines, summary = [json.loads(line) for line in job.transcript.read_text(encoding="utf-8").splitlines()]
    return (lines, summary) if header == job.header() else None


def _report(arguments: argparse.Namespace, jobs: list[Job]) -> JsonObject:
    found = {job.policy: read for job in jobs if (read := _read(job)) is not None}
    requests = draw(
        load(Path(jobs[0].directory), arguments.seed),
        shape=arguments.traffic, number=arguments.number, seed=arguments.seed,
    )  # fmt: skip
    most = ceiling(requests)
    policies = {name: _policy(lines, summary, most) for name, (lines, summary) in found.items()}
    policies[GOLD] = _by_hand(len(requests), most)
    if "nl_only" in found:
        others = [
            (_shared(lines), CONTENDERS[name].receivers.documents_of_askers)
            for name, (lines, _) in found.items()
            if name in CONTENDERS and name != "nl_only"
        ]
        policies[HINDSIGHT] = _in_hindsight(hindsight(_shared(found["nl_only"][0]), others), len(requests), most)
    return {
        "benchmark": "sgdx",
        "data": "Schema-Guided Dialogue and SGD-X, Google, CC BY-SA 4.0",
        "split": arguments.split,
        "traffic": arguments.traffic,
        "requests": len(requests),
        "seed": arguments.seed,
        "model": next((summary["model"] for _, summary in found.values()), arguments.model),
        "whole": len(found) == len(jobs),
        "priced_as": PRICED_AS,
        "machine": machine(),
        "ceiling": share(most, len(requests)),
        "places": len({(each.pair.service, each.kind) for each in requests}),
        "targets": targets(policies.get("ours")),
        "policies": policies,
    }


LEAST_REQUESTS: Final = 3_000
"""Among so many no wrong answer of a routine is promised."""
LEAST_OF_CEILING: Final = 0.97


def targets(ours: JsonObject | None) -> JsonObject:
    """What is promised of our own cost policy, what came of it, and whether it is kept; None where this cannot tell."""
    wrong, of_ceiling, asked = None, None, 0
    if ours is not None:
        wrong, of_ceiling, asked = ours["wrong_by_routine"], ours["routine_share_of_ceiling"], ours["right"]["n"]
    none_wrong: bool | None = asked >= LEAST_REQUESTS or None
    return {
        "wrong_answers_served_by_routines": {
            "value": wrong,
            "at_most": 0,
            "requests": asked,
            "least_requests": LEAST_REQUESTS,
            "kept": False if wrong else none_wrong,
        },
        "routine_share_of_ceiling": {
            "value": of_ceiling,
            "at_least": LEAST_OF_CEILING,
            "kept": None if of_ceiling is None else of_ceiling >= LEAST_OF_CEILING,
        },
    }


def _shared(lines: list[JsonObject]) -> list[JsonObject]:
    """The lines with all clients' vocabularies as one: whoever knows all traffic has one document serve them all."""

    def one(exchange: JsonObject) -> JsonObject:
        method, _, served = exchange["kind"].split(" ")
        return {**exchange, "kind": f"{method} {served}"}

    return [{**line, "exchanges": [one(each) for each in line["exchanges"]]} for line in lines]


def ceiling(requests: list[Request]) -> int:
    """How many requests routines on both sides can have served, where each is shadowed as often as a verdict takes.

    What is learned is learned once for each method of a service in each pair of vocabularies; where both are the same
    there is nothing to learn.
    """
    places = Counter((each.pair.service, each.kind, each.variant == each.words) for each in requests)
    shadows = CostPolicy().shadow_exchanges
    return sum(number if same else max(0, number - shadows) for (_, _, same), number in places.items())


def _policy(lines: list[JsonObject], summary: JsonObject, most: int) -> JsonObject:
    n = len(lines)
    made = figures(lines, summary)
    tiers = Counter(
        "cache" if line["cached"] else line["exchanges"][0]["tier"] if line["came_to"] != "refused" else "refused"
        for line in lines
    )
    by_routine = [line for line in lines if not line["cached"] and "routine" in line["tiers"]]
    both = tiers["routine"]
    return {
        **{
            name: made[name]
            for name in ("usd", "model_calls", "tokens", "llm_touched_last_100", "documents", "routines")
        },
        "tiers": dict(tiers),
        "right": share(made["right"], n),
        "silently_wrong": share(made["silently_wrong"], n),
        "refused": share(made["refused"], n),
        "routine_share": share(both, n),
        "routine_share_of_ceiling": round(both / most, 4) if most else None,
        "wrong_by_routine": sum(line["came_to"] == "silently_wrong" for line in by_routine),
        "wrong_hits_of_a_cache": sum(line["cached"] and line["came_to"] == "silently_wrong" for line in lines),
    }


def _by_hand(n: int, most: int) -> JsonObject:
    nothing = dict.fromkeys(("usd", "model_calls", "tokens", "llm_touched_last_100", "documents", "routines"), 0)
    return {
        **nothing, "tiers": {"routine": n}, "right": share(n, n), "silently_wrong": share(0, n), "refused": share(0, n),
        "routine_share": share(n, n), "routine_share_of_ceiling": round(n / most, 4) if most else None,
        "wrong_by_routine": 0, "wrong_hits_of_a_cache": 0,
    }  # fmt: skip


def _in_hindsight(found: JsonObject, n: int, most: int) -> JsonObject:
    by_hand = _by_hand(n, most)
    by_routine = n - found["llm_touched"]
    return {
        **by_hand,
        **{
            name: found[name]
            for name in ("usd", "model_calls", "tokens", "llm_touched_last_100", "documents", "routines")
        },
        "tiers": {"routine": by_routine},
        "routine_share": share(by_routine, n),
        "routine_share_of_ceiling": round(by_routine / most, 4) if most else None,
    }


def markdown(report: JsonObject) -> str:
    """The report for people."""
    lines = [
        f"# sgdx, split {report['split']}, {report['traffic']} traffic, model {report['model']}",
        "",
        (
            f"Data: {report['data']}. {report['requests']} requests in {report['places']} places (a method of a service "
            f"in a pair of vocabularies), seed {report['seed']}. Machine: {report['machine']['processor']}, "
            f"{report['machine']['cores']} cores; {report['seconds']} s. Money at the price of {report['priced_as']} in "
            f"the Agora paper's table. Intervals are Wilson's, of 95 %."
        ),
        "",
        f"Routines on both sides can have served {shown(report['ceiling'])} of the requests.",
        "",
        (
            "| policy | USD | model calls | right | silently wrong | refused | by routine on both sides | of the ceiling "
            "| wrong by a routine | wrong hits of a cache |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, each in report["policies"].items():
        of_ceiling = each["routine_share_of_ceiling"]
        lines.append(
            f"| {name} | {each['usd']:.3f} | {each['model_calls']} | {shown(each['right'])} "
            f"| {shown(each['silently_wrong'])} | {shown(each['refused'])} | {shown(each['routine_share'])} "
            f"| {'-' if of_ceiling is None else f'{of_ceiling:.1%}'} | {each['wrong_by_routine']} "
            f"| {each['wrong_hits_of_a_cache']} |"
        )
    wrong, of_ceiling = report["targets"].values()
    lines += [
        "",
        "| promised of `ours` | here | kept |",
        "|---|---|---|",
        (
            f"| after verdicts, wrong answers served by routines: 0 in at least {wrong['least_requests']} requests "
            f"| {wrong['value']} in {wrong['requests']} | {KEPT[wrong['kept']]} |"
        ),
        (
            f"| routine share: at least {of_ceiling['at_least']:.0%} of its ceiling "
            f"| {'-' if of_ceiling['value'] is None else format(of_ceiling['value'], '.1%')} "
            f"| {KEPT[of_ceiling['kept']]} |"
        ),
    ]
    if not report["whole"]:
        lines += ["", "Not all rows are there yet: the next run, with the same --out, goes on."]
    lines += [
        "",
        (
            "`gold_adapter` and `hindsight` are computed: adapters written by hand beforehand, and the cheapest tier for "
            "each method of a service with all traffic known and one document for all vocabularies, each part at the "
            "least that any row paid: a bound from below. All other rows are real agents "
            "over a transport in memory, given the same requests in the same order. A scripted model answers from the "
            "gold renaming and says nothing of what a language model understands."
        ),
        "",
    ]
    return "\n".join(lines)
