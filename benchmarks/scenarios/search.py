"""1,223 documents in one store: is the one that is meant among the first five?

One document is drafted by rule from each operation of the GitHub API. For 200 of them, drawn by seed, there are two
sentences: `plain`, what a user of GitHub would ask for, keeping its names of things and nothing else of the summary's
wording; and `far`, which gives up those names as well. Near twins count as one, by a rule that is printed with their
number. Half of the operations were looked at while the search was made (`open`), half were not (`held`).
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.data import DataMissing, named_directory
from benchmarks.machine import machine
from benchmarks.near_twins import near_twins
from benchmarks.openapi_documents import operations
from negotiator.state import open_state
from protocol_docs import DocumentStore, ProtocolDocument, SearchIndex
from protocol_docs.search_index import Embedder
from protocol_docs.search_words import wanted_terms

KINDS = ("plain", "far")
HALVES = ("open", "held")
FIRST = 5
"""Among so many of the first it has to be."""
SEED, DRAWN = 20261123, 200
"""By which the operations were drawn; see `drawn`."""
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
        "machine": machine(),
    }
    report["lexical"] = _measure(asked, drafted, twins, None)
    if given.embeddings:
        from negotiator.embeddings import SentenceEncoder  # noqa: PLC0415 - an extra

        report["embeddings"] = _measure(asked, drafted, twins, SentenceEncoder())
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
    asked: list[Asked], drafted: dict[str, ProtocolDocument], twins: dict[str, set[str]], embedder: Embedder | None
) -> dict[str, Any]:
    names = {document.hash: name for name, document in drafted.items()}
    with tempfile.TemporaryDirectory() as folder:
        state = open_state(Path(folder) / "state")
        path = Path(folder) / "state" / "store" / "search.sqlite3"
        store = DocumentStore(state.text, index=SearchIndex(path, embedder=embedder))

        def fill() -> None:
            for document in drafted.values():
                store.put(document)
            store.index_all(embed=len(drafted))

        _, filling = _timed(fill)
        again = DocumentStore(state.text, index=SearchIndex(path, embedder=embedder))
        _, opening = _timed(again.index_all)
        took: list[float] = []
        tallies: dict[str, dict[str, Any]] = {}
        misses: list[dict[str, Any]] = []
        for kind in KINDS:
            for half in [half for half in HALVES if any(each.half == half for each in asked)]:
                tally = Tally()
                for each in (each for each in asked if each.half == half):
                    hits, seconds = _timed(partial(again.find, getattr(each, kind), 10))
                    took.append(seconds)
                    ranked = [names[name] for name, _ in hits]
                    if not _enter(tally, each.operation, twins[each.operation], ranked):
                        misses.append({"said": getattr(each, kind), "meant": each.operation, "found": ranked[:FIRST]})
                tallies.setdefault(kind, {})[half] = _closed(tally)
    # The first look opens the index; it is not left out.
    ordered = sorted(took)
    return {
        **tallies,
        "filling_seconds": round(filling, 2),
        "opening_ms": round(opening * 1000, 2),
        "look_up_ms": {
            "first": round(took[0] * 1000, 2),
            "median": round(statistics.median(ordered) * 1000, 2),
            "p95": round(ordered[int(len(ordered) * 0.95)] * 1000, 2),
            "n": len(ordered),
        },
        "misses": misses,
    }


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


def wilson(found: int, asked: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share, turn = found / asked, z * z / asked
    middle = (share + turn / 2) / (1 + turn)
    reach = z * sqrt(share * (1 - share) / asked + turn / (4 * asked)) / (1 + turn)
    return middle - reach, middle + reach


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
    for way in ("lexical", "embeddings"):
        if way in report:
            took = report[way]["look_up_ms"]
            lines += [
                "",
                (
                    f"{way}: a look-up takes {took['median']} ms in the middle, {took['p95']} ms at the 95th "
                    f"percentile, {took['first']} ms at first, after {report[way]['opening_ms']} ms of opening the index."
                ),
            ]
    return "\n".join(lines) + "\n"
