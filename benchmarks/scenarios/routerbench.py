"""Which protocol suits each module of a scenario: A2A, ACP, Agora or ANP? The 60 scenarios of ProtocolRouterBench.

The question is put to what chooses among tools and documents in an agent, over one sentence for each protocol that was
written here from its specification, before any scenario was seen. Scored as its authors score it: a scenario is right
where all its modules are, and one of the level L1 where any is.

The data is read from DIR/routerbench/data.json, which is not fetched: copy `routerbench/data/data.json` of
https://github.com/ulab-uiuc/AgentProtocols (MIT) there. It is a list of
`{id, description, module: [{name, agents, tasks, potential_issues}], ground_truth: {"1": {module_protocol}}}`, in which
`ground_truth` numbers the modules from 1 and `id` begins with its level, `L1-` to `L5-`.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from benchmarks.answers import open_kept
from benchmarks.choosers import Choose, Offered, Receiver, by_search
from benchmarks.data import DataMissing, named_directory
from benchmarks.machine import machine
from benchmarks.plots import bar_plot
from benchmarks.shares import share, shown
from benchmarks.transcripts import Transcript
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Model

PUBLISHED: Final = {
    "scenarios": 0.75,
    "modules": 0.8667,
    "of": "60 scenarios with 180 modules, a model of its authors'",
}
"""The report in their repository, `routerbench/results/benchmark_report.txt`."""
PROTOCOLS: Final = (
    Offered(
        "A2A",
        "Agent-to-agent tasks over JSON-RPC with server-sent events: agents that describe themselves in a card work "
        "on long-running tasks in turns, stream partial results and artifacts, and talk in text, audio and video.",
    ),
    Offered(
        "ACP",
        "Agents as plain REST resources over HTTP: requests with status codes, addressable and repeatable operations, "
        "synchronous, asynchronous or streamed, easy to wrap around existing services, batches and bulk transfer.",
    ),
    Offered(
        "Agora",
        "A meta-protocol: agents agree on a protocol document that is named by its hash, negotiate in natural language "
        "where there is none, and follow a versioned procedure with routines for what occurs often.",
    ),
    Offered(
        "ANP",
        "A network of agents that do not know each other: decentralized identifiers prove identity, messages are "
        "encrypted from end to end, and organizations trust each other across their boundaries.",
    ),
)
WAYS: Final = ("rules", "search", "embeddings", "model", "rules_then_model")
LEVELS: Final = ("L1", "L2", "L3", "L4", "L5")


class Module(BaseModel):
    """One module of a scenario."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    agents: list[str] = []
    tasks: list[str] = []
    potential_issues: list[str] = []


class Truth(BaseModel):
    """Which protocol its authors say suits a module."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    module_protocol: str


class Scenario(BaseModel):
    """One scenario as the file has it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    description: str
    module: list[Module]
    ground_truth: dict[str, Truth]

    @property
    def level(self) -> str:
        """How hard it is: `L1` to `L5`."""
        return self.id.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Asked:
    """One module that is asked about."""

    scenario: str
    level: str
    text: str
    meant: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="the folder that holds routerbench/; else NEGOTIATOR_DATA")
    parser.add_argument("--model", default="none", help="none, recorded, or a model's name (default: none)")
    parser.add_argument("--embeddings", action="store_true", help="with embeddings (the extra `embeddings`)")
    parser.add_argument("--modules-only", action="store_true", help="ablation: without the scenario's description")


def run(arguments: argparse.Namespace, out: Path) -> JsonObject:
    """Run it, write OUT/report.json, report.md, modules.svg and the transcripts, and return the report."""
    scenarios = read(named_directory(arguments.data) / "routerbench" / "data.json")
    asked = modules(scenarios, described=not arguments.modules_only)
    out.mkdir(parents=True, exist_ok=True)
    model = open_kept(arguments.model, out / "answers.jsonl")
    started = time.monotonic()
    report: JsonObject = {
        "benchmark": "routerbench",
        "data": "ProtocolRouterBench, ulab-uiuc/AgentProtocols, MIT",
        "scenarios": len(scenarios),
        "modules": len(asked),
        "seed": None,
        "model": model.name,
        "modules_only": arguments.modules_only,
        "meant": dict(sorted(Counter(each.meant for each in asked).items())),
        "published": PUBLISHED,
        "protocols": {each.name: each.description for each in PROTOCOLS},
        "ways": asyncio.run(_all(arguments, out, asked, model)),
        "machine": machine(),
    }
    report["seconds"] = round(time.monotonic() - started, 1)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    (out / "modules.svg").write_text(plot(report), encoding="utf-8")
    return report


def read(path: Path) -> list[Scenario]:
    """The scenarios of a file. Raises `DataMissing` where it is not there, or has another form."""
    try:
        return TypeAdapter(list[Scenario]).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataMissing(
            f"{path} is not there and is not fetched: copy routerbench/data/data.json of ulab-uiuc/AgentProtocols to it"
        ) from None
    except ValidationError as problem:
        first = problem.errors()[0]
        raise DataMissing(f"{path} is no such list: {first['msg']} at {'/'.join(map(str, first['loc']))}") from None


def modules(scenarios: Sequence[Scenario], *, described: bool = True) -> list[Asked]:
    """What is asked of each module, in words."""
    found = []
    for each in scenarios:
        for number, module in enumerate(each.module, 1):
            truth = each.ground_truth.get(str(number))
            if truth is None:
                raise DataMissing(f"the scenario {each.id} says nothing of its module {number}")
            lines = [each.description] if described else []
            lines += [module.name, *module.tasks, *module.potential_issues]
            found.append(Asked(each.id, each.level, "\n".join(lines), truth.module_protocol))
    return found


async def _all(arguments: argparse.Namespace, out: Path, asked: Sequence[Asked], model: Model) -> JsonObject:
    alone, helped = Receiver(PROTOCOLS), Receiver(PROTOCOLS, model)
    ways: dict[str, Choose] = {"rules": alone.by_rules, "search": by_search(PROTOCOLS)}
    if arguments.embeddings:
        from negotiator.embeddings import SentenceEncoder  # noqa: PLC0415 - an extra

        ways["embeddings"] = by_search(PROTOCOLS, SentenceEncoder())
    if helped.engine.has_model:
        ways |= {"model": helped.by_model, "rules_then_model": helped.by_rules}
    found: JsonObject = {}
    try:
        for name in (name for name in WAYS if name in ways):
            of: JsonObject = {"way": name, "modules": len(asked), "modules_only": arguments.modules_only}
            of["model"] = model.name if "model" in name else "none"
            transcript = Transcript(out / "transcripts" / f"{name}.jsonl", of)
            for each in asked[len(transcript.rows) :]:
                chosen = await ways[name](each.text)
                row = {"scenario": each.scenario, "level": each.level, "meant": each.meant, "chosen": chosen}
                transcript.add(row)
            found[name] = figures(transcript.rows)
    finally:
        await alone.aclose()
        await helped.aclose()
        await model.aclose()
    return found


def figures(rows: Sequence[JsonObject]) -> JsonObject:
    """Shares of modules and scenarios, over all and by level, and what was chosen for what."""
    by_scenario: dict[str, list[JsonObject]] = {}
    for row in rows:
        by_scenario.setdefault(row["scenario"], []).append(row)

    def of(level: str | None) -> JsonObject:
        here = [found for found in by_scenario.values() if level in (None, found[0]["level"])]
        right = [[row["chosen"] == row["meant"] for row in found] for found in here]
        # Theirs: of a scenario of the first level it is enough that any module is right.
        whole = [any(each) if found[0]["level"] == "L1" else all(each) for found, each in zip(here, right, strict=True)]
        return {
            "scenarios": share(sum(whole), len(whole)),
            "modules": share(sum(map(sum, right)), sum(map(len, right))),
        }

    chosen: dict[str, dict[str, int]] = {}
    for row in rows:
        of_meant = chosen.setdefault(row["meant"], {})
        of_meant[str(row["chosen"])] = of_meant.get(str(row["chosen"]), 0) + 1
    return {**of(None), "levels": {level: of(level) for level in LEVELS}, "chosen_for": chosen}


def markdown(report: JsonObject) -> str:
    """The report for people."""
    lines = [
        f"# routerbench: {report['scenarios']} scenarios, {report['modules']} modules, model {report['model']}",
        "",
        f"Data: {report['data']}. Machine: {report['machine']['processor']}, {report['machine']['cores']} cores.",
        "",
        "| by | scenarios right (95 %) | modules right (95 %) |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {shown(way['scenarios'])} | {shown(way['modules'])} |" for name, way in report["ways"].items()
    ]
    published: dict[str, Any] = report["published"]
    lines.append(
        f"| published ({published['of']}) | {100 * published['scenarios']:.1f} % | {100 * published['modules']:.1f} % |"
    )
    lines.append("| by chance | - | 25.0 % expected |")
    lines += ["", "Modules right, by level:", ""]
    for name, way in report["ways"].items():
        lines.append(f"- {name}: " + ", ".join(f"{level} {shown(way['levels'][level]['modules'])}" for level in LEVELS))
    return "\n".join([*lines, ""])


def plot(report: JsonObject) -> str:
    """The share of right modules by level, as SVG."""
    return bar_plot(
        f"routerbench, model {report['model']}",
        "% of modules right",
        list(LEVELS),
        {
            name: [100 * (way["levels"][level]["modules"]["share"] or 0.0) for level in LEVELS]
            for name, way in report["ways"].items()
        },
    )
