"""`python -m benchmarks run NAME --out DIR` and `python -m benchmarks fetch NAME --data DIR`."""

import argparse
import logging
import sys
from importlib import import_module
from pathlib import Path

from benchmarks import fetch
from benchmarks.data import DataMissing
from benchmarks.fetch_agentdojo import AGENTDOJO
from benchmarks.fetch_bfcl import BFCL
from benchmarks.fetch_octokit import OCTOKIT
from benchmarks.fetch_sgd import SGD
from negotiator.errors import NegotiatorError

SCENARIOS = {
    "agora-trace": "policies of changing tiers, over traffic of a published shape",
    "agentdojo": "how many injected calls run in each tier, where the model obeys every injection",
    "bfcl": "from how many calls of a function on an agreement pays, and what 1,000 calls take",
    "identity": "what it costs a request to be signed, and to be checked",
    "lmos-router": "which of 27 capabilities a sentence needs, by rules, search, embeddings and a model",
    "latency": "what one request takes, beside floors and rivals",
    "memory": "what documents and routines weigh, and how soon a process is ready",
    "mutants": "wrong routines, and what the verdict lets through",
    "negotiation": "do two agents agree on a protocol, under three conditions, and is it worth something",
    "routerbench": "which protocol suits a module, beside published figures",
    "sandbox": "what the sandbox costs, and how fast it kills and replaces",
    "search": "which of 1,223 documents is meant, by words and with embeddings",
    "sgdx": "agents in two vocabularies, over recorded calls",
    "sgdx-mapping": "which field is which, inferred with and without embeddings and a model",
    "throughput": "how many requests a second, with workers, and when there are too many",
}
DATA_SETS = {data_set.name: data_set for data_set in (AGENTDOJO, BFCL, OCTOKIT, SGD)}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when it ran, 2 for what cannot be run or had here."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run a benchmark").add_subparsers(dest="name", required=True)
    modules = {}
    for name, described in SCENARIOS.items():
        modules[name] = import_module(f"benchmarks.scenarios.{name.replace('-', '_')}")
        one = running.add_parser(name, help=described, description=modules[name].__doc__)
        modules[name].add_arguments(one)
        one.add_argument("--out", type=Path, default=Path("out") / name, help="where the report goes")
        one.add_argument("--verbose", action="store_true", help="log what was wrong and what was learned")
    fetching = commands.add_parser("fetch", help="fetch a public data set").add_subparsers(dest="name", required=True)
    for data_set in DATA_SETS.values():
        described = f"{data_set.title} ({data_set.licence})"
        fetch.add_arguments(fetching.add_parser(data_set.name, help=described, description=described))
    given = parser.parse_args(arguments)
    try:
        if given.command == "fetch":
            fetch.run(DATA_SETS[given.name], given.data)
            return 0
        if given.verbose:
            logging.basicConfig(level=logging.INFO)
            logging.getLogger("negotiator").setLevel(logging.DEBUG)
            logging.getLogger("httpx").setLevel(logging.WARNING)
        modules[given.name].run(given, given.out)
    except (DataMissing, NegotiatorError) as error:
        print(f"{given.name}: {error}", file=sys.stderr)
        return 2
    print((given.out / "report.md").read_text(encoding="utf-8"))
    print(f"report: {given.out / 'report.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
