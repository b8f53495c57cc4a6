"""Who agreed with whom on what, and where no agreement could be reached; kept in the text store."""

import hashlib
from dataclasses import dataclass

import orjson

from negotiator.clock import Clock
from negotiator.jsonvalue import JsonObject
from protocol_docs.text_store import TextStore

_HERE = "agreements/here/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """A document agreed with one peer for one task."""

    protocol_hash: str
    expires: float
    """Unix seconds; renegotiated after that."""


class Agreements:
    """A sender's agreements by (task, peer), and the documents that a receiver has agreed to serve."""

    def __init__(self, store: TextStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[str, Agreed] = {}

    def find(self, task_digest: str, base_url: str) -> Agreed | None:
        """The document agreed with the peer at `base_url` for the task, if it is still valid."""
        key = _key(task_digest, base_url)
        found = self._seen.get(key)
        if found is None:
            row = self._read(key)
            if row is None or "protocol_hash" not in row:
                return None
            found = Agreed(protocol_hash=row["protocol_hash"], expires=row["expires"])
            self._seen[key] = found
        return found if found.expires > self._clock.time() else None

    def agree(self, task_digest: str, base_url: str, protocol_hash: str, valid_seconds: float) -> None:
        """Remember an agreement, and that this document serves this task."""
        agreed = Agreed(protocol_hash=protocol_hash, expires=self._clock.time() + valid_seconds)
        key = _key(task_digest, base_url)
        self._seen[key] = agreed
        self._write(key, {"protocol_hash": protocol_hash, "expires": agreed.expires})
        known = self.documents_for(task_digest)
        if protocol_hash not in known:
            self._write(f"agreements/documents/{task_digest}", {"hashes": [protocol_hash, *known][:16]})

    def documents_for(self, task_digest: str) -> list[str]:
        """Documents that some peer agreed to for this task, the latest first: what to propose to the next."""
        row = self._read(f"agreements/documents/{task_digest}")
        return [] if row is None else list(row.get("hashes", []))

    def drop(self, task_digest: str, base_url: str) -> None:
        """Forget the agreement: the peer no longer uses the document."""
        key = _key(task_digest, base_url)
        self._seen.pop(key, None)
        self._store.delete(key)

    def refuse(self, task_digest: str, base_url: str, why: str, seconds: float) -> None:
        """Remember that no agreement could be reached, for `seconds`."""
        until = self._clock.time() + seconds
        self._write(_key(task_digest, base_url), {"refused": why[:300], "expires": until})

    def refused(self, task_digest: str, base_url: str) -> str | None:
        """Why no agreement could be reached lately; None where one may be tried."""
        row = self._read(_key(task_digest, base_url))
        if row is None or "refused" not in row or row["expires"] <= self._clock.time():
            return None
        return str(row["refused"])

    def serve(self, toolset: str, protocol_hash: str) -> None:
        """A receiver with these tools has agreed to this document: it is listed from now on."""
        self._store.put(f"{_HERE}{toolset}/{protocol_hash}", "{}")

    def served(self, toolset: str) -> list[str]:
        """The documents that a receiver with these tools has agreed to."""
        prefix = f"{_HERE}{toolset}/"
        return [key.removeprefix(prefix) for key in self._store.keys(prefix)]

    def _read(self, key: str) -> JsonObject | None:
        text = self._store.get(key)
        row = None if text is None else orjson.loads(text)
        return row if isinstance(row, dict) else None

    def _write(self, key: str, row: JsonObject) -> None:
        self._store.put(key, orjson.dumps(row).decode())


def _key(task_digest: str, base_url: str) -> str:
    return f"agreements/with/{task_digest}/{hashlib.sha256(base_url.encode()).hexdigest()[:32]}"
