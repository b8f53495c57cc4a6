"""What documents and routines take in memory, and how soon stored routines are ready, in a process of its own.

    python -m benchmarks.footprint documents NUMBER           bytes in memory for each
    python -m benchmarks.footprint routines NUMBER            the same
    python -m benchmarks.footprint stored NUMBER STATE        put so many routines into a state
    python -m benchmarks.footprint cold NUMBER STATE          make those ready, in a process that begins

A line of JSON goes out. Moments are those of the machine's monotonic clock.
"""

import sys
import time

BEGUN = time.monotonic()

import argparse  # noqa: E402 - what is imported from here on is measured
import gc  # noqa: E402
import json  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from benchmarks.exchange import DOCUMENT, forecast, routine, texts  # noqa: E402
from negotiator import Agent  # noqa: E402
from protocol_docs import ProtocolDocument  # noqa: E402

IMPORTED = time.monotonic()


def resident(pid: int | str = "self") -> int:
    """Bytes of a process that are in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def _hash(number: int) -> str:
    return f"sha256:{number:064x}"


def _agent(state: str = "memory") -> Agent:
    agent = Agent(model="none", state=state)
    agent.tool(effect="safe")(forecast)
    return agent


def documents(number: int) -> dict[str, Any]:
    """Bytes that a document takes in a store in memory, its text included."""
    agent = _agent()
    for text in texts(100):
        agent.engine.documents.put(ProtocolDocument.from_text(text))
    made = list(texts(number + 100))[100:]
    size = sum(len(text) for text in made)
    gc.collect()
    before = resident()
    for text in made:
        agent.engine.documents.put(ProtocolDocument.from_text(text))
    gc.collect()
    # The texts that were made first stand in the store from now on.
    return {"bytes": (resident() - before + size) / number, "text_bytes": size / number}


def routines(number: int) -> dict[str, Any]:
    """Bytes that a routine takes that is ready to serve, with its row in a store in memory."""
    agent, took = _agent(), {}
    shelf, toolset = agent.engine.routines, agent.engine.toolset
    for offset, kind in enumerate(("mapping", "code")):
        first = (offset + 1) * 1_000_000
        for each in range(50):
            shelf.put(routine(kind, _hash(first + number + each), toolset))
        gc.collect()
        before = resident()
        for each in range(number):
            shelf.put(routine(kind, _hash(first + each), toolset))
        gc.collect()
        took[kind] = (resident() - before) / number
    return took


def stored(number: int, state: str) -> dict[str, Any]:
    """Half of them mappings, half of them code."""
    agent = _agent(state)
    agent.engine.documents.put(DOCUMENT)
    for each in range(number):
        kind = "mapping" if each % 2 else "code"
        agent.engine.routines.put(routine(kind, _hash(each), agent.engine.toolset))
    return {"stored": number}


def cold(number: int, state: str) -> dict[str, Any]:
    """When the process began, and what was there when."""
    agent = _agent(state)
    agent.handler()
    opened = time.monotonic()
    shelf, toolset = agent.engine.routines, agent.engine.toolset
    ready = sum(shelf.serving(_hash(each), "receiver", toolset) is not None for each in range(number))
    moments = {"begun": BEGUN, "imported": IMPORTED, "opened": opened, "ready": time.monotonic()}
    return {"routines": ready, **moments}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("documents", "routines", "stored", "cold"))
    parser.add_argument("number", type=int)
    parser.add_argument("state", nargs="?", default="memory")
    chosen = parser.parse_args()
    if chosen.what in ("documents", "routines"):
        made = {"documents": documents, "routines": routines}[chosen.what](chosen.number)
    else:
        made = {"stored": stored, "cold": cold}[chosen.what](chosen.number, chosen.state)
    sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
