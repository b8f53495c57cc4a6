"""Which of 27 capabilities of 11 agents does a customer's sentence need? The routing set of Eclipse LMOS.

By rules, by search, with embeddings, and by a model, over descriptions alone; and by the labelled sentences of the train
file, with and without embeddings. Where the folder has the test file, it is scored, and the train file is what is
searched; else the train file is scored in folds, each by the labels of the others.
"""

import argparse
import asyncio
import csv
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.answers import open_kept
from benchmarks.choosers import NEAREST, Choose, Offered, Receiver, by_labelled, by_search
from benchmarks.data import DataMissing, named_directory
from benchmarks.machine import machine
from benchmarks.plots import bar_plot
from benchmarks.progress import Progress
from benchmarks.shares import share, shown
from benchmarks.transcripts import Transcript
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Model
from protocol_docs import Embedder

PUBLISHED: Final = {
    "LLM": {"agents_right": 0.9640, "n": 2000},
    "vector (all-minilm, the train file's sentences)": {"agents_right": 0.9978, "n": 5000},
}
"""Of the project's own predictions for its test file: which of the 11 agents, not which capability."""
CALLED: Final = {"change_shipping_address": "check_shipping_address"}
"""A label that the specifications know under another name: one capability, since each has no other counterpart."""
DESCRIBED: Final = ("where_clear", "rules", "search", "embeddings", "model", "rules_then_model")
"""Ways that see the descriptions alone."""
LABELLED: Final = ("labelled", "labelled_embeddings")
"""Ways that see labelled sentences too."""
WHAT: Final = {
    "where_clear": "words, and no answer where they leave it open: what an agent decides without asking anybody",
    "rules": "words, the likeliest where they leave it open: what an agent without a model does",
    "search": "the first that the index of documents finds by words",
    "embeddings": "the first that it finds by words and vectors",
    "model": "the model alone, asked as a receiver asks which tool is meant",
    "rules_then_model": "words where they are clear, the model where they are not: what an agent with a model does",
    "labelled": f"a vote of the {NEAREST} labelled sentences that the index finds nearest by words",
    "labelled_embeddings": f"a vote of the {NEAREST} labelled sentences nearest by words and vectors",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One labelled sentence."""

    text: str
    agent: str
    capability: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="the folder that holds lmos_router/; else NEGOTIATOR_DATA")
    parser.add_argument("--model", default="none", help="none, recorded, or a model's name (default: none)")
    parser.add_argument("--model-sentences", type=int, default=300, help="it is asked about (default: 300; 0: all)")
    parser.add_argument("--embeddings", action="store_true", help="with embeddings (the extra `embeddings`)")
    parser.add_argument("--sentences", type=int, default=0, help="that are scored, drawn by the seed (default: all)")
    parser.add_argument("--folds", type=int, default=5, help="without a test file (default: 5)")
    parser.add_argument("--without", nargs="+", choices=[*DESCRIBED, *LABELLED], default=[], help="ablation: ways")
    parser.add_argument("--seed", type=int, default=0)


def run(arguments: argparse.Namespace, out: Path) -> JsonObject:
    """Run it, write OUT/report.json, report.md, capabilities.svg and the transcripts, and return the report."""
    folder = named_directory(arguments.data) / "lmos_router"
    agents, offered = read_offered(folder)
    train, test = read_sentences(folder / "train.csv"), None
    if (folder / "test.csv").is_file():
        test = read_sentences(folder / "test.csv")
    scored = drawn(test or train, arguments.sentences, arguments.seed)
    out.mkdir(parents=True, exist_ok=True)
    model = open_kept(arguments.model, out / "answers.jsonl")
    embedder = _embedder() if arguments.embeddings else None
    started = time.monotonic()
    work = _Work(arguments, out, agents, scored)
    ways = asyncio.run(_all(work, offered, train if test else None, model, embedder))
    report: JsonObject = {
        "benchmark": "lmos-router",
        "data": "Eclipse LMOS lmos-router, Deutsche Telekom, Apache-2.0",
        "scored_on": "test.csv" if test else f"train.csv, in {arguments.folds} folds where labels are used",
        "agents": len(set(agents.values())),
        "capabilities": len(offered),
        "n": len(scored),
        "distinct": len({each.text for each in scored}),
        "seed": arguments.seed,
        "model": model.name,
        "embeddings": None if embedder is None else embedder.name,
        "published": PUBLISHED,
        "called": CALLED,
        "ways": ways,
        "what": {name: WHAT[name] for name in ways},
        "machine": machine(),
        "seconds": round(time.monotonic() - started, 1),
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    (out / "capabilities.svg").write_text(plot(report), encoding="utf-8")
    return report


def read_offered(folder: Path) -> tuple[dict[str, str], list[Offered]]:
    """Capability -> its agent, and the capabilities with the descriptions of both. Raises `DataMissing`."""
    agents: dict[str, str] = {}
    offered = []
    for agent in json.loads(_content(folder / "agentRoutingSpecs.json")):
        for capability in agent["capabilities"]:
            agents[capability["name"]] = agent["name"]
            offered.append(Offered(capability["name"], f"{capability['description']} {agent['description']}."))
    return agents, offered


def read_sentences(path: Path) -> list[Sentence]:
    """The labelled sentences of a file, in order. Raises `DataMissing`."""
    rows = csv.DictReader(_content(path).splitlines())
    return [
        Sentence(row["instruction"], row["agent"], CALLED.get(row["intent"], row["intent"]))
        for row in rows
        if row["instruction"].strip()
    ]


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataMissing(
            f"{path} is not there: copy it from benchmarks/src/main/resources of eclipse-lmos/lmos-router"
        ) from None


def drawn(sentences: Sequence[Sentence], count: int, seed: int) -> list[Sentence]:
    """So many of them, as many of each capability as there are on the whole; 0: all, in order."""
    if not count or count >= len(sentences):
        return list(sentences)
    chance = random.Random(seed)
    of: dict[str, list[Sentence]] = {}
    for each in sentences:
        of.setdefault(each.capability, []).append(each)
    queues = [chance.sample(found, len(found)) for _, found in sorted(of.items())]
    # Each queue gives at its own pace, so that the shares stay what they are.
    placed = [((at + chance.random()) / len(queue), each) for queue in queues for at, each in enumerate(queue)]
    placed.sort(key=lambda pair: pair[0])
    return [each for _, each in placed[:count]]


@dataclass(slots=True)
class _Work:
    arguments: argparse.Namespace
    out: Path
    agents: dict[str, str]
    scored: list[Sentence]

    async def way(self, name: str, count: int, choosers: Sequence[Choose], of: Sequence[int], model: str) -> JsonObject:
        """One way over the first `count` sentences; `of[i]` says which of the choosers is asked about the i-th."""
        header: JsonObject = {"way": name, "model": model, "seed": self.arguments.seed, "n": count}
        header["sentences"] = [self.arguments.sentences, self.arguments.folds, len(self.scored)]
        transcript = Transcript(self.out / "transcripts" / f"{name}.jsonl", header)
        progress = Progress()
        for at in range(len(transcript.rows), count):
            sentence = self.scored[at]
            progress.at(f"{name}: {at + 1} of {count}")
            began = time.perf_counter()
            chosen = await choosers[of[at]](sentence.text)
            seconds = round(time.perf_counter() - began, 6)
            transcript.add({"text": sentence.text, "meant": sentence.capability, "chosen": chosen, "seconds": seconds})
        progress.end()
        return self._figures(transcript.rows)

    def _figures(self, rows: list[JsonObject]) -> JsonObject:
        answered = [row for row in rows if row["chosen"] is not None]
        agents = [(self.agents.get(row["meant"]), self.agents.get(row["chosen"])) for row in answered]
        right = [row for row in answered if row["chosen"] == row["meant"]]
        mixed: dict[tuple[str, str], int] = {}
        for row in answered:
            if row["chosen"] != row["meant"]:
                pair = (row["meant"], row["chosen"])
                mixed[pair] = mixed.get(pair, 0) + 1
        most = sorted(mixed.items(), key=lambda item: (-item[1], item[0]))[:5]
        times = sorted(row["seconds"] for row in rows) or [0.0]
        return {
            "capabilities": share(len(right), len(rows)),
            "agents": share(sum(meant == chosen for meant, chosen in agents), len(rows)),
            "answered": len(answered),
            "right_of_answered": share(len(right), len(answered)),
            "median_ms": round(1000 * times[len(times) // 2], 3),
            "mixed_up_most": [{"meant": meant, "chosen": chosen, "times": n} for (meant, chosen), n in most],
        }


async def _all(
    work: _Work, offered: list[Offered], train: list[Sentence] | None, model: Model, embedder: Embedder | None
) -> JsonObject:
    arguments, count = work.arguments, len(work.scored)
    asked = min(arguments.model_sentences or count, count)
    if asked < count:
        # Sentences for the model are drawn as those of a sample are, and the rest follow.
        first = drawn(work.scored, asked, arguments.seed + 1)
        taken = {id(each) for each in first}
        work.scored = [*first, *(each for each in work.scored if id(each) not in taken)]
    alone, helped = Receiver(offered), Receiver(offered, model)
    has_model = helped.engine.has_model
    one: Sequence[int] = [0] * count
    plain: dict[str, Callable[[], tuple[list[Choose], Sequence[int]]]] = {
        "where_clear": lambda: ([alone.where_clear], one),
        "rules": lambda: ([alone.by_rules], one),
        "search": lambda: ([by_search(offered)], one),
        "labelled": lambda: _labelled(work, train, None),
    }
    if embedder is not None:
        plain["embeddings"] = lambda: ([by_search(offered, embedder)], one)
        plain["labelled_embeddings"] = lambda: _labelled(work, train, embedder)
    found: JsonObject = {}
    try:
        for name in (*DESCRIBED, *LABELLED):
            if name in arguments.without:
                continue
            if name in plain:
                choosers, of = plain[name]()
                found[name] = await work.way(name, count, choosers, of, "none")
            elif has_model and name in ("model", "rules_then_model"):
                choose = helped.by_model if name == "model" else helped.by_rules
                found[name] = await work.way(name, asked, [choose], one, model.name)
    finally:
        await alone.aclose()
        await helped.aclose()
        await model.aclose()
    return found


def _labelled(
    work: _Work, train: list[Sentence] | None, embedder: Embedder | None
) -> tuple[list[Choose], Sequence[int]]:
    """One chooser over all of the train file, or one for each fold, and which of them is asked about each sentence."""
    if train is not None:
        return [by_labelled([(each.text, each.capability) for each in train], embedder)], [0] * len(work.scored)
    # A sentence that occurs twice is in one fold: none is scored by its own label.
    folds = work.arguments.folds
    texts = sorted({each.text for each in work.scored})
    random.Random(work.arguments.seed).shuffle(texts)
    fold = {text: at % folds for at, text in enumerate(texts)}
    choosers = [
        by_labelled([(each.text, each.capability) for each in work.scored if fold[each.text] != number], embedder)
        for number in range(folds)
    ]
    return choosers, [fold[each.text] for each in work.scored]


def _embedder() -> Embedder:
    from negotiator.embeddings import SentenceEncoder  # noqa: PLC0415 - an extra

    return SentenceEncoder()


def markdown(report: JsonObject) -> str:
    """The report for people."""
    lines = [
        f"# lmos-router: {report['capabilities']} capabilities of {report['agents']} agents, model {report['model']}",
        "",
        (
            f"Data: {report['data']}. Scored on {report['scored_on']}: {report['n']} sentences, {report['distinct']} "
            f"distinct, seed {report['seed']}. Embeddings: {report['embeddings'] or 'none'}. Machine: "
            f"{report['machine']['processor']}, {report['machine']['cores']} cores, {report['seconds']} s."
        ),
        "",
        "| by | the right capability (95 %) | the right agent (95 %) | answered | right of those answered | ms each |",
        "|---|---|---|---|---|---|",
    ]
    for name, way in report["ways"].items():
        lines.append(
            f"| {name} | {shown(way['capabilities'])} | {shown(way['agents'])} | {way['answered']} | "
            f"{shown(way['right_of_answered'])} | {way['median_ms']} |"
        )
    for name, published in report["published"].items():
        lines.append(
            f"| published: {name} | - | {100 * published['agents_right']:.2f} % of {published['n']} | - | - | - |"
        )
    lines += ["", "What was published is which of the 11 agents is meant, on the test file, which is another one.", ""]
    lines += [f"- `{name}`: {what}." for name, what in report["what"].items()]
    for label, name in report["called"].items():
        lines.append(f"- The label `{label}` is taken for the capability that the specifications call `{name}`.")
    return "\n".join([*lines, ""])


def plot(report: JsonObject) -> str:
    """The share of right capabilities and agents, way by way, as SVG."""
    ways = list(report["ways"].values())
    return bar_plot(
        f"lmos-router, model {report['model']}",
        "% right",
        list(report["ways"]),
        {
            "capability": [100 * (way["capabilities"]["share"] or 0.0) for way in ways],
            "agent": [100 * (way["agents"]["share"] or 0.0) for way in ways],
        },
    )
