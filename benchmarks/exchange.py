"""The one exchange that every server of the speed benchmarks answers: a kilobyte in, other names on both sides.

On the wire stand the names of the document; the tool has names of its own. So whoever answers reads JSON, checks a
body, renames three fields, calls the tool, renames two, checks a body, and writes JSON.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, Final, TypedDict

import orjson

from negotiator import Agent, Task
from negotiator.dialects.agora import STANDARD_2025
from negotiator.jsonvalue import JsonObject
from negotiator.mapping import FieldMapping, Mapping
from negotiator.messages import Request
from negotiator.routines import Direction, Routine, Verdict
from protocol_docs import draft_document
from sandbox import POLICY_VERSION

REQUEST_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "town": {"type": "string", "maxLength": 200},
        "on": {"type": "string", "format": "date"},
        "remarks": {"type": "string", "maxLength": 4000},
    },
    "required": ["town", "on"],
    "additionalProperties": False,
}
REPLY_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "properties": {"degrees": {"type": "number"}, "sky": {"type": "string"}},
    "required": ["degrees", "sky"],
    "additionalProperties": False,
}
DOCUMENT: Final = draft_document(
    name="Town forecast",
    description="The weather that is expected in a town on a day.",
    request_schema=REQUEST_SCHEMA,
    reply_schema=REPLY_SCHEMA,
    effect="safe",
)
BODY_BYTES: Final = 1024


class Forecast(TypedDict):
    """What the tool gives."""

    celsius: float
    summary: str


def _asked() -> JsonObject:
    asked: JsonObject = {"town": "Santiago de Compostela", "on": "2026-11-24", "remarks": ""}
    words = "Rain is likely, and the question is how much of it and when. " * 20
    asked["remarks"] = words[: BODY_BYTES - len(orjson.dumps(asked))]
    return asked


ASKED: Final = _asked()
ANSWERED: Final[JsonObject] = {"degrees": 22.0, "sky": "clear on 2026-11-24"}
TASK: Final = Task(
    "The weather that is expected in a town on a day.",
    input=REQUEST_SCHEMA,
    output=REPLY_SCHEMA,
    effect="safe",
)
"""What a sender asks for: in the document's own words, so that its half maps one to one."""


async def forecast(city: str, day: str, notes: str = "") -> Forecast:  # noqa: ARG001 - what it is told beside
    """Tell the weather that is expected in a city on a day."""
    return {"celsius": float(len(city)), "summary": f"clear on {day}"}


INTO: Final = Mapping(
    (
        FieldMapping(to="/city", source="/town", required=True),
        FieldMapping(to="/day", source="/on", required=True),
        FieldMapping(to="/notes", source="/remarks"),
    )
)
BACK: Final = Mapping(
    (
        FieldMapping(to="/degrees", source="/celsius", required=True),
        FieldMapping(to="/sky", source="/summary", required=True),
    )
)
SOURCE: Final = """
def arguments(body):
    return {"city": body["town"], "day": body["on"], "notes": body.get("remarks", "")}
"""
"""The code routine: its function makes the arguments, and a mapping the reply."""


def envelope() -> bytes:
    """The request's body as our own sender writes it."""
    wire = STANDARD_2025.encode_request(Request(body=ASKED, hashes=DOCUMENT.aliases))
    return wire.body


def http_request(body: bytes, *, path: str = "/", more: str = "") -> bytes:
    """A POST of JSON over HTTP/1.1, whole. `more` are further header lines, each with its line break."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{more}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def offer(agent: Agent, kind: str) -> str:
    """Have an agent answer the exchange by a routine of this kind: `mapping`, `code` or `native`. Returns the hash."""
    engine = agent.engine
    if kind == "native":
        return agent.register(DOCUMENT, _native, effect="safe")
    agent.tool(effect="safe")(forecast)
    engine.documents.put(DOCUMENT)
    engine.routines.put(routine(kind, DOCUMENT.hash, engine.toolset))
    # So that it is listed, and senders find it.
    engine.agreements.serve(engine.toolset, DOCUMENT.hash)
    return DOCUMENT.hash


def routine(kind: str, protocol_hash: str, toolset: str) -> Routine:
    """A receiver's routine for the exchange, `mapping` or `code`, as if its verdict had been reached."""
    code = kind == "code"
    return Routine(
        protocol_hash=protocol_hash,
        role="receiver",
        kind="code" if code else "mapping",
        key_digest=toolset,
        into=Direction(entry="arguments") if code else Direction(mapping=INTO),
        back=Direction(mapping=BACK),
        source=SOURCE if code else "",
        tool="forecast",
        state="serving",
        verdict=Verdict(passed=True, basis="exact", sandbox_policy=POLICY_VERSION if code else ""),
    )


async def _native(body: Any) -> JsonObject:
    made = await forecast(body["town"], body["on"], body.get("remarks", ""))
    return {"degrees": made["celsius"], "sky": made["summary"]}


def texts(number: int) -> Iterator[str]:
    """Documents that nobody asks for."""
    about = "The sender sends a JSON object, and the receiver answers with one. " * 6
    for each in range(number):
        yield f"---\nname: Protocol {each}\ndescription: One of many.\nmultiround: false\n---\n\n{about}\n"


def stored(folder: Path, documents: Iterable[str]) -> None:
    """Put documents into the state at `folder`, which `open_state` has made, in one transaction.

    It writes the rows that `DocumentStore.put` would (`protocol_docs/document_rows.py` says which) row by
    row; each text is checked against its hash like any other when it is read.
    """
    now = time.time()

    def rows() -> Iterator[tuple[str, float, float, int, str]]:
        for text in documents:
            data = text.encode()
            name, alias = f"sha256:{sha256(data).hexdigest()}", f"sha1:{sha1(data, usedforsecurity=False).hexdigest()}"
            for key, value in ((f"document/{name}", text), (f"alias/{alias}", name)):
                yield key, now, now, len(key) + len(value.encode()), value

    insert = (
        "INSERT INTO Cache (key, raw, store_time, access_time, access_count, size, mode, value) "
        "VALUES (?, 1, ?, ?, 0, ?, 1, ?)"
    )
    connection = sqlite3.connect(folder / "store" / "cache.db")
    # It is made to be thrown away: nothing need outlive a power cut.
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.executemany(insert, rows())
    connection.close()
