"""The trust policy: which callers an agent hears at all; and whose proofs are no longer taken."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

import orjson

from negotiator.wire import ANONYMOUS
from protocol_docs.text_store import TextStore

_ROW: Final = "identity/revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPolicy:
    """Which callers an agent hears. What those may do is the authority table's business."""

    callers: Literal["anyone", "authenticated", "listed"] = "anyone"
    """`anyone`, proved or not; `authenticated`: whoever proves who it is; `listed`: those alone that are listed."""
    listed: tuple[str, ...] = ()
    """Principals, or patterns of them such as `did:wba:partner.example:*`."""
    legacy_header: bool = False
    """Whether the `DIDWba` header of before ANP-02 1.1 is read as a proof. It does not cover the body."""

    def hears(self, principal: str) -> bool:
        """Whether a principal is heard."""
        if self.callers == "anyone":
            return True
        if principal == ANONYMOUS:
            return False
        return self.callers == "authenticated" or any(fnmatchcase(principal, each) for each in self.listed)


class Revocations:
    """DIDs and keys of others whose proofs and tokens are not taken any more, from the next request on."""

    def __init__(self, store: TextStore) -> None:
        """Keep them in `store`, for all who share it."""
        self._store = store
        self._seen: tuple[str | None, frozenset[str]] = (None, frozenset())

    def all(self) -> frozenset[str]:
        """The DIDs and DID URLs that are revoked."""
        text = self._store.get(_ROW)
        if text != self._seen[0]:
            self._seen = (text, frozenset(orjson.loads(text)) if text else frozenset())
        return self._seen[1]

    def stands(self, did: str, key_id: str) -> bool:
        """Whether neither a DID nor its key is revoked."""
        return self.all().isdisjoint((did, key_id))

    def revoke(self, name: str) -> None:
        """Take no proof of a DID, or of one of its keys (a DID URL), any more."""
        self._write({*self.all(), name})

    def restore(self, name: str) -> None:
        """Take them again."""
        self._write(self.all() - {name})

    def _write(self, names: Iterable[str]) -> None:
        self._store.put(_ROW, orjson.dumps(sorted(names)).decode())
