"""1,223 documents in one store: is the one that is meant among the first five?

One document is drafted by rule from each operation of the GitHub API. For 200 of them, drawn by seed, there are two
sentences: `plain`, what a user of GitHub would ask for, keeping its names of things and nothing else of the summary's
wording; and `far`, which gives up those names as well. Near twins count as one, by a rule that is printed with their
number. Half of the operations were looked at while the search was made (`open`), half were not (`held`).
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from benchmarks.data import DataMissing, named_directory
from benchmarks.machine import machine
from benchmarks.near_twins import near_twins
from benchmarks.openapi_documents import operations
from benchmarks.rounds import percentile
from benchmarks.shares import KEPT, wilson
from negotiator.state import open_state
from protocol_docs import DocumentStore, ProtocolDocument, SearchIndex, TextStore
from protocol_docs.search_index import Embedder
from protocol_docs.search_words import wanted_terms

KINDS = ("plain", "far")
HALVES = ("open", "held")
FIRST = 5
"""Among so many of the first it has to be."""
SEED, DRAWN = 20261123, 200
"""By which the operations were drawn; see `drawn`."""
TARGETS: Final = {
    "lexical_found": 0.70,
    "embeddings_found": 0.90,
    "lexical_look_up_ms": 5.0,
    "embeddings_look_up_ms": 5.0,
}
"""What is promised of `plain` sentences: found at least, and a look-up's median at most, on top of opening the store."""
ROUNDS = 3
_PARAPHRASES = Path(__file__).with_name("search_paraphrases.jsonl")


@dataclass(frozen=True)
class Asked:
    """One operation that is looked for, with what is said of it."""

    operation: str
    plain: str
    far: str
    half: str


@dataclass
class Tally:
    """How often it was found."""

    asked: int = 0
    found: int = 0
    """It, or a near twin of it, was among the first."""
    exactly: int = 0
    """It was."""
    reciprocal_rank: float = 0.0
    """Of it or a near twin, 0 beyond the first ten; the mean over all that was asked."""
    share: float = 0.0
    interval: list[float] = field(default_factory=list)
    """Wilson's, 95 %."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="the folder that holds octokit/; else NEGOTIATOR_DATA")
    parser.add_argument("--half", choices=[*HALVES, "all"], default="all", help="which operations (default: all)")
    parser.add_argument("--embeddings", action="store_true", help="with embeddings too (the extra `embeddings`)")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"how often all is looked up, each in a store opened anew ({ROUNDS})"
    )


def run(given: argparse.Namespace, out: Path) -> None:
    drafted, drafting = _timed(lambda: draft(named_directory(given.data) / "octokit" / "api.github.com.json"))
    twins = near_twins(drafted)
    asked = [each for each in load() if given.half in ("all", each.half)]
    report: dict[str, Any] = {
        "documents": len({document.hash for document in drafted.values()}),
        "asked": len(asked),
        "half": given.half,
        "near_twins": {
            "documents_with_one": sum(bool(found) for found in twins.values()),
            "asked_with_one": sum(bool(twins[each.operation]) for each in asked),
        },
        "words_shared_with_the_summary": {kind: shared_words(asked, drafted, kind) for kind in KINDS},
        "drafting_seconds": round(drafting, 2),
        "rounds": given.rounds,
        "machine": machine(),
        "load_average": {"before": os.getloadavg()},
    }
    report["lexical"] = _measure(asked, drafted, twins, lambda: None, given.rounds)
    if given.embeddings:
        from negotiator.embeddings import SentenceEncoder  # noqa: PLC0415 - an extra

        report["embeddings"] = _measure(asked, drafted, twins, SentenceEncoder, given.rounds)
    report["load_average"]["after"] = os.getloadavg()
    report["targets"] = targets(report)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(_written(report), encoding="utf-8")


def load() -> list[Asked]:
    """The sentences, in the order in which the operations were drawn: the first half is the open one."""
    rows = [json.loads(line) for line in _PARAPHRASES.read_text(encoding="utf-8").splitlines()]
    return [Asked(**row, half=HALVES[number >= len(rows) // 2]) for number, row in enumerate(rows)]


def drawn(names: Iterable[str]) -> list[str]:
    """The operations that are looked for, of those of these names."""
    return Random(SEED).sample(sorted(names), DRAWN)


def draft(path: Path) -> dict[str, ProtocolDocument]:
    """A document for each operation, by the operation's name. Raises `DataMissing`."""
    try:
        api = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataMissing(
            f"{path} is not there; fetch it with: python -m benchmarks fetch octokit --data {path.parent.parent}"
        ) from None
    return {each.name: each.document for each in operations(api)}


def shared_words(asked: list[Asked], drafted: dict[str, ProtocolDocument], kind: str) -> float:
    """Of the telling words of the summaries, the share that the sentences have too."""
    there = total = 0
    for each in asked:
        summary = _telling(drafted[each.operation].description.partition(". ")[0])
        there += len(summary & _telling(getattr(each, kind)))
        total += len(summary)
    return round(there / total, 3)


def _telling(text: str) -> set[str]:
    return {term for term, weight in wanted_terms(text, related=0.0).items() if weight}


def _measure(
    asked: list[Asked],
    drafted: dict[str, ProtocolDocument],
    twins: dict[str, set[str]],
    make_embedder: Callable[[], Embedder | None],
    rounds: int,
) -> dict[str, Any]:
    names = {document.hash: name for name, document in drafted.items()}
    said = [(kind, each) for kind in KINDS for half in HALVES for each in asked if each.half == half]
    with tempfile.TemporaryDirectory() as folder:
        state = open_state(Path(folder) / "state")
        path = Path(folder) / "state" / "store" / "search.sqlite3"
        store = DocumentStore(state.text, index=SearchIndex(path, embedder=make_embedder()))

        def fill() -> None:
            for document in drafted.values():
                store.put(document)
            store.index_all(embed=len(drafted))

        _, filling = _timed(fill)
        looked = [
            _look_up(state.text, path, make_embedder(), [getattr(each, kind) for kind, each in said])
            for _ in range(rounds)
        ]
    found = looked[0].found
    tallies: dict[str, dict[str, Tally]] = {}
    misses: list[dict[str, Any]] = []
    for (kind, each), hits in zip(said, found, strict=True):
        ranked = [names[name] for name, _ in hits]
        tally = tallies.setdefault(kind, {}).setdefault(each.half, Tally())
        if not _enter(tally, each.operation, twins[each.operation], ranked):
            misses.append({"said": getattr(each, kind), "meant": each.operation, "found": ranked[:FIRST]})
    return {
        **{kind: {half: _closed(tally) for half, tally in halves.items()} for kind, halves in tallies.items()},
        "filling_seconds": round(filling, 2),
        "loading_ms": _milliseconds(each.loading for each in looked),
        "opening_ms": _milliseconds(each.opening for each in looked),
        "look_up_ms": {
            # The first look reads the vectors; it is not left out of what follows.
            "first": _milliseconds(each.seconds[0] for each in looked),
            "n": sum(len(each.seconds) for each in looked),
            **_percentiles([took for each in looked for took in each.seconds]),
            "median_by_round": [round(percentile(each.seconds, 0.5) * 1000, 2) for each in looked],
            "processor": _percentiles([took for each in looked for took in each.processor]),
        },
        "the_same_in_each_round": all(each.found == found for each in looked),
        "misses": misses,
    }


@dataclass
class LookedUp:
    """One round: a store opened anew, in which each sentence is looked for once."""

    loading: float
    """Seconds until the encoder is there."""
    opening: float
    """Seconds until the index is."""
    found: list[list[tuple[str, float]]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    """Seconds of this thread's processor time."""


def _look_up(texts: TextStore, path: Path, embedder: Embedder | None, sentences: list[str]) -> LookedUp:
    store = DocumentStore(texts, index=SearchIndex(path, embedder=embedder))
    _, loading = _timed(lambda: embedder and embedder.embed(["."]))
    _, opening = _timed(store.index_all)
    looked = LookedUp(loading, opening)
    for sentence in sentences:
        before = time.thread_time()
        hits, seconds = _timed(partial(store.find, sentence, 10))
        looked.processor.append(time.thread_time() - before)
        looked.seconds.append(seconds)
        looked.found.append(hits)
    return looked


def _percentiles(seconds: list[float]) -> dict[str, float]:
    shares = {"median": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: round(percentile(seconds, share) * 1000, 2) for name, share in shares.items()}


def _milliseconds(seconds: Iterable[float]) -> float:
    """Of several figures, the one in the middle."""
    return round(percentile(list(seconds), 0.5) * 1000, 2)


def targets(report: dict[str, Any]) -> dict[str, Any]:
    """For each of `TARGETS` what came of it, and whether it is kept; None where that was not measured."""
    made: dict[str, Any] = {}
    for name, bound in TARGETS.items():
        way, _, what = name.partition("_")
        measured = report.get(way)
        if what == "found":
            halves = [] if measured is None else list(measured["plain"].values())
            asked = sum(each["asked"] for each in halves)
            value = sum(each["found"] for each in halves) / asked if asked else None
            made[name] = {"value": value, "at_least": bound, "kept": None if value is None else value >= bound}
        else:
            value = None if measured is None else measured["look_up_ms"]["median"]
            made[name] = {"value": value, "at_most": bound, "kept": None if value is None else value <= bound}
    return made


def _enter(tally: Tally, meant: str, twins: set[str], ranked: list[str]) -> bool:
    tally.asked += 1
    places = [place for place, name in enumerate(ranked, 1) if name == meant or name in twins]
    tally.reciprocal_rank += 1 / places[0] if places else 0.0
    tally.exactly += meant in ranked[:FIRST]
    found = bool(places) and places[0] <= FIRST
    tally.found += found
    return found


def _closed(tally: Tally) -> dict[str, Any]:
    tally.share = round(tally.found / tally.asked, 4)
    tally.interval = [round(end, 4) for end in wilson(tally.found, tally.asked)]
    tally.reciprocal_rank = round(tally.reciprocal_rank / tally.asked, 4)
    return asdict(tally)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    made = work()
    return made, time.perf_counter() - started


def _written(report: dict[str, Any]) -> str:
    lines = [
        "# search",
        "",
        (
            f"{report['documents']} documents, {report['asked']} operations looked for ({report['half']}); "
            f"{report['near_twins']['documents_with_one']} documents have a near twin, "
            f"{report['near_twins']['asked_with_one']} of those looked for."
        ),
        "Of the summaries' telling words, the sentences share "
        + ", ".join(f"{share:.0%} ({kind})" for kind, share in report["words_shared_with_the_summary"].items())
        + ".",
        "",
        "| by | sentences | operations | in the first 5 | 95 % | itself | mean reciprocal rank |",
        "|---|---|---|---|---|---|---|",
    ]
    for way in ("lexical", "embeddings"):
        for kind in KINDS:
            for half, tally in report.get(way, {}).get(kind, {}).items():
                low, high = tally["interval"]
                lines.append(
                    f"| {way} | {kind} | {half} | {tally['found']} of {tally['asked']} ({tally['share']:.0%}) "
                    f"| {low:.0%} to {high:.0%} | {tally['exactly']} | {tally['reciprocal_rank']:.2f} |"
                )
    ways = [way for way in ("lexical", "embeddings") if way in report]
    lines += [
        "",
        "| by | ms of a look-up: median | p95 | p99 | processor: median | p99 | at first | opening the index | loading |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for way in ways:
        took = report[way]["look_up_ms"]
        cells = [took["median"], took["p95"], took["p99"], took["processor"]["median"], took["processor"]["p99"]]
        cells += [took["first"], report[way]["opening_ms"], report[way]["loading_ms"]]
        lines.append(f"| {way} | " + " | ".join(f"{each:.2f}" for each in cells) + " |")
    lines += ["", "| promised of `plain` | | here | kept |", "|---|---|---|---|"]
    for name, each in report["targets"].items():
        bound = f"at least {each['at_least']}" if "at_least" in each else f"at most {each['at_most']}"
        value = "-" if each["value"] is None else f"{each['value']:.2f}"
        lines.append(f"| {name} | {bound} | {value} | {KEPT[each['kept']]} |")
    before, after = (report["load_average"][when][0] for when in ("before", "after"))
    lines += [
        "",
        (
            f"{report['rounds']} rounds, each in an index opened anew and with an encoder that has seen none of the "
            "sentences; what is found is "
            + ("" if all(report[way]["the_same_in_each_round"] for way in ways) else "NOT ")
            + f"the same in each. Load average {before:.1f} before, {after:.1f} after; times are those of a quiet machine "
            "where it is well below the number of cores."
        ),
    ]
    return "\n".join(lines) + "\n"
