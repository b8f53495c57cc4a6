"""Agora's experiment with 100 agents, drawn anew: what each policy of changing tiers costs for the same queries.

85 users to 15 servers, 11 kinds of task, servers that ask other servers. Every policy is given the same queries in the
same order; transcripts are written as JSONL, and a run that was interrupted goes on with what is not there yet.
"""

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.answers import SCRIPTED, open_kept, require_answers
from benchmarks.baselines.caches import ExactCache, SemanticCache
from benchmarks.baselines.policies import CONTENDERS
from benchmarks.jobs import Tick, run_all
from benchmarks.machine import machine
from benchmarks.scenarios.agora_trace_oracle import oracle
from benchmarks.scenarios.agora_trace_report import (
    figures,
    hindsight,
    markdown,
    notes,
    over_seeds,
    plot,
    ratios,
    targets,
)
from benchmarks.scenarios.agora_trace_town import Done, Town
from benchmarks.scenarios.agora_trace_traffic import Shape, draw
from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject

CACHES: Final = {"exact_cache": ExactCache, "semantic_cache": SemanticCache}
MOST_QUERIES: Final = 20_000
"""Unless more are asked for: 10,000 agents are then two queries each, and minutes a policy."""
FORMAT: Final = 1
"""Of the transcripts; another one is written anew."""

WHAT: Final = {
    **{name: each.what for name, each in CONTENDERS.items()},
    "exact_cache": "natural language behind one response cache for all users: the same request, the same answer; safe "
    "tasks only",
    "semantic_cache": "the same for requests that look alike (cosine of words and of three letters, from 0.9 on)",
    "gold_adapter": "adapters written by hand for every pair beforehand: no model, nothing to learn; what it cost to "
    "write them is not counted",
    "hindsight": "the cheapest tier for each kind of task at each server, all traffic known and everything shared, "
    "each part at the least that anybody here paid for it: a bound from below, computed and not run",
}
ORDER: Final = (
    "nl_only", "structured_only", "exact_cache", "semantic_cache", "agora_paper", "agora_package", "greedy", "ours",
    "ours_without_predictions", "ours_without_agreeing_first", "ours_askers_adapt",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agents", type=int, default=100, help="users and servers together (default: 100)")
    parser.add_argument("--traffic", choices=("uniform", "zipf", "pareto"), default="pareto")
    parser.add_argument(
        "--queries", type=int, help="of each seed (default: ten for each agent, as published, and at most 20,000)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--first-seed", type=int, default=0, help="of them; numbers are chosen on 100 (default: 0)")
    parser.add_argument(
        "--sample", type=int, help="only so many of the queries, the first; for a model that takes long"
    )
    parser.add_argument("--model", default=SCRIPTED, help="scripted, recorded or a model's name (default: scripted)")
    parser.add_argument("--minutes", type=float, help="no query is begun after so long; the next run goes on")
    parser.add_argument("--policies", default=",".join(ORDER), help="which rows, by name (default: all)")
    parser.add_argument("--workers", type=int, default=2, help="processes, with the scripted model (default: 2)")


@dataclass(frozen=True, slots=True)
class Job:
    """One policy and one seed."""

    policy: str
    agents: int
    traffic: Shape
    queries: int
    sample: int
    """So many of them are asked, the first."""
    seed: int
    model: str
    out: str

    @property
    def transcript(self) -> Path:
        """Where it goes; its first line says what it is of."""
        return Path(self.out) / "transcripts" / f"{self.policy}-{self.seed}.jsonl"

    def header(self) -> JsonObject:
        """What has to be the same for a transcript to stand for this job."""
        made = asdict(self)
        del made["out"]
        return {"format": FORMAT, **made}


def run(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run it, write OUT/report.json, report.md, touched.svg and the transcripts, and return the report."""
    names = [name for name in arguments.policies.split(",") if name]
    unknown = set(names) - set(ORDER)
    if unknown:
        raise UsageError(f"no policy is named {', '.join(sorted(unknown))}; there are {', '.join(ORDER)}")
    queries = arguments.queries or min(10 * arguments.agents, MOST_QUERIES)
    asked = queries if arguments.sample is None else min(arguments.sample, queries)
    (out / "transcripts").mkdir(parents=True, exist_ok=True)
    jobs = [
        Job(name, arguments.agents, arguments.traffic, queries, asked, seed, arguments.model, str(out))
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        for name in names
    ]
    started = time.monotonic()
    run_all(
        [job for job in jobs if _read(job) is None],
        run_job,
        workers=arguments.workers if arguments.model == SCRIPTED else 1,
        named=lambda job: f"{job.policy}, seed {job.seed}",
        requests=asked,
        minutes=arguments.minutes,
    )
    report = _report(arguments, jobs, asked)
    report["seconds"] = round(time.monotonic() - started, 1)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    (out / "touched.svg").write_text(plot(report), encoding="utf-8")
    return report


def run_job(job: Job, tick: Tick) -> None:
    """Run one policy for one seed and write its transcript; a model's answers are kept, and played again."""
    traffic = draw(agents=job.agents, queries=job.queries, shape=job.traffic, seed=job.seed)
    traffic = replace(traffic, queries=traffic.queries[: job.sample])
    cache = CACHES[job.policy]() if job.policy in CACHES else None
    contender = CONTENDERS["nl_only" if job.policy in CACHES else job.policy]
    lines: list[Done] = []

    async def at_work() -> JsonObject:
        def note(line: Done) -> None:
            require_answers(model)
            lines.append(line)

        model = open_kept(job.model, Path(job.out) / "answers.jsonl", oracle())
        try:
            town = Town(contender, traffic, model, cache)
            await town.run(note, tick)
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
    """The lines and the summary of a transcript; None where it is of another job, or not there."""
    if not job.transcript.is_file():
        return None
    header, *lines, summary = [json.loads(line) for line in job.transcript.read_text(encoding="utf-8").splitlines()]
    return (lines, summary) if header == job.header() else None


def _report(arguments: argparse.Namespace, jobs: list[Job], queries: int) -> JsonObject:
    read = {(job.policy, job.seed): _read(job) for job in jobs}
    found = {key: value for key, value in read.items() if value is not None}
    seeds = sorted({job.seed for job in jobs})
    wanted = list(dict.fromkeys(job.policy for job in jobs))
    names = [name for name in wanted if all((name, seed) in found for seed in seeds)]
    model = next((summary["model"] for _, summary in found.values()), arguments.model)
    policies = {name: over_seeds([figures(*found[name, seed]) for seed in seeds]) for name in names}
    policies["gold_adapter"] = over_seeds([_by_hand(queries) for _ in seeds])
    if "nl_only" in names:
        engine = [name for name in names if name in CONTENDERS and name != "nl_only"]
        policies["hindsight"] = over_seeds(
            [
                hindsight(
                    found["nl_only", seed][0],
                    [(found[name, seed][0], CONTENDERS[name].receivers.documents_of_askers) for name in engine],
                )
                for seed in seeds
            ]
        )
    return {
        "benchmark": "agora-trace",
        "agents": arguments.agents,
        "traffic": arguments.traffic,
        "queries": queries,
        "n": queries * len(seeds),
        "seeds": seeds,
        "model": model,
        "whole": names == wanted,
        "machine": machine(),
        "ratios": ratios(policies),
        "targets": targets(policies),
        "policies": policies,
        "what": {name: WHAT[name] for name in policies},
        "notes": notes(model, scripted=arguments.model == SCRIPTED),
    }


def _by_hand(queries: int) -> JsonObject:
    nothing = dict.fromkeys(
        ("usd", "usd_today", "model_calls", "tokens", "llm_touched", "llm_touched_last_100", "silently_wrong",
         "refused", "documents", "routines", "nested"), 0
    )  # fmt: skip
    windows = [0] * -(-queries // 100)
    return {**nothing, "right": queries, "llm_touched_by_100": windows, "exchanges": {}}
