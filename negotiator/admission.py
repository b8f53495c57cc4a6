"""Who is let in while there is room, so that no flood takes the room of others. Pure.

The fewer places are free, the fewer a single caller, a single document, or a caller under one document may hold: at
most a fixed multiple of what is free (the dynamic thresholds of Choudhury and Hahne, "Dynamic queue length thresholds
for shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2), 1998). Nobody has a place reserved, a
lone flood may use most of the room, and what it leaves free is there at once for whoever comes next.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

from negotiator.errors import Overloaded
from negotiator.wire import ANONYMOUS

Held: TypeAlias = tuple[str, str]
"""A kind of holder with its name, or a caller with a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many places may be held for each one that is free."""

    caller_and_document: int = 4
    """By one caller under one document: alone, four fifths of the room."""
    caller: int = 8
    """By one caller under whatever it names: eight ninths."""
    document: int = 16
    """Under one document by all callers: so that a document that many want leaves others a little."""


class UnderWay:
    """What is at work at the moment; one for all the doors of an agent in one event loop."""

    def __init__(self, at_most: int, shares: Shares | None = None) -> None:
        """Admit `at_most` requests at a time, divided by `shares`."""
        self.at_most = at_most
        """Requests that are let in at a time."""
        self._shares = shares or Shares()
        self.now = 0
        """Requests that are at work."""
        self._alone: Held | None = None
        """Who is at work, where it is one: counted below as soon as there is a second."""
        self._callers: dict[str, int] = {}
        self._documents: dict[str, int] = {}
        self._both: dict[Held, int] = {}

    @property
    def full(self) -> bool:
        """Whether nobody would be let in, whoever comes: then a request need not be read to be refused."""
        return self.now >= self.at_most

    def of(self, principal: str, peer: str | None, document: str) -> "Place":
        """A place for one request, to be held with `with`, which raises `Overloaded` where there is none.

        Args:
            principal: Who asks, as far as that was proved; who proved nothing is known by the address alone.
            peer: The address it came from, where the transport knows.
            document: What it names: a document's hash or a tool; empty for words alone.
        """
        return Place(self, caller_of(principal, peer), document)

    def enter(self, caller: str, document: str) -> None:
        """Begin one more of `caller` under `document`. Raises `Overloaded`; nothing is held then."""
        both, shares = (caller, document), self._shares
        if not self.now and self.at_most > 0:
            # Of an empty room nobody holds a share.
            self.now, self._alone = 1, both
            return
        if self._alone is not None:
            (other, under), self._alone = self._alone, None
            self._both[other, under] = self._callers[other] = self._documents[under] = 1
        free = self.at_most - self.now
        of_both, of_caller = self._both.get(both, 0), self._callers.get(caller, 0)
        of_document = self._documents.get(document, 0)
        if (
            of_both >= shares.caller_and_document * free
            or of_caller >= shares.caller * free
            or of_document >= shares.document * free
        ):
            raise Overloaded
        self.now += 1
        self._both[both] = of_both + 1
        self._callers[caller] = of_caller + 1
        self._documents[document] = of_document + 1

    def leave(self, caller: str, document: str) -> None:
        """It has ended."""
        self.now -= 1
        if self._alone is not None:
            self._alone = None
            return
        both = (caller, document)
        # Three times the same, since each request comes here: what is left, and nothing where that is none.
        if (left := self._both[both] - 1) > 0:
            self._both[both] = left
        else:
            del self._both[both]
        if (left := self._callers[caller] - 1) > 0:
            self._callers[caller] = left
        else:
            del self._callers[caller]
        if (left := self._documents[document] - 1) > 0:
            self._documents[document] = left
        else:
            del self._documents[document]


def caller_of(principal: str, peer: str | None) -> str:
    """Whom a place is held by: who proved nothing is known by the address alone."""
    return peer or "" if principal == ANONYMOUS else principal


class Place:
    """One place, held between `__enter__` and `__exit__`."""

    __slots__ = ("_caller", "_document", "_room")

    def __init__(self, room: UnderWay, caller: str, document: str) -> None:
        self._room = room
        self._caller = caller
        self._document = document

    def __enter__(self) -> None:
        """Take it. Raises `Overloaded`."""
        self._room.enter(self._caller, self._document)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give it back."""
        self._room.leave(self._caller, self._document)


class Backlog:
    """Whether requests come faster than they can be begun, in a server that works on one at a time.

    What one event loop finds at once is a batch: it takes them all in, up to a `burst`, and then begins them one after
    the other. Where batches have been larger than a `crowd` for a while (`patience`, which lets a burst pass) it is a
    flood, and of each further batch a `few` are taken and the rest refused. So those that are taken wait for a few
    others, however many ask: it is the delay that is kept, and not the queue (as in Nichols and Jacobson, "Controlling
    queue delay", ACM Queue 10(5), 2012, which tells the two apart by times). It is over when there was no batch of
    more than a few for some time (`memory`): what is refused comes again.
    """

    def __init__(
        self,
        *,
        burst: int = 256,
        crowd: int = 128,
        few: int = 64,
        patience: float = 0.02,
        pause: float = 0.001,
        memory: float = 1.0,
    ) -> None:
        """Times are in seconds. A crowd is as many as an agent lets in at a time; a `pause` parts one burst from another."""
        self._burst = burst
        self._crowd = crowd
        self._few = few
        self._patience = patience
        self._pause = pause
        self._memory = memory
        self._waiting = self._came = 0
        self._calm = self._ended = self._flooded = float("-inf")
        self._refuses = False

    def takes(self, now: float) -> bool:
        """Whether a request that came is to be begun; if so, `begins` follows. `now` is in seconds, monotonic."""
        if not self._came and now - self._ended > self._pause:
            self._calm = now
            self._refuses = self._refuses and now - self._flooded <= self._memory
        self._came += 1
        if self.crowded:
            return False
        self._waiting += 1
        return True

    @property
    def crowded(self) -> bool:
        """Whether the next that comes is refused, whenever in this batch that is; `refused` counts it then."""
        return self._waiting >= (self._few if self._refuses else self._burst)

    def refused(self) -> None:
        """One came while it was crowded, and was not asked about."""
        self._came += 1

    def begins(self, now: float) -> None:
        """One that was taken has begun."""
        self._waiting = max(self._waiting - 1, 0)
        if self._waiting:
            return
        came, self._came, self._ended = self._came, 0, now
        if came > self._few and self._refuses:
            self._flooded = now
        elif came > self._crowd and now - self._calm > self._patience:
            self._refuses, self._flooded = True, now
        elif now - self._flooded > self._memory:
            self._refuses = False
        if came <= self._crowd:
            self._calm = now
