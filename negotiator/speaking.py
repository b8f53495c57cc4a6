"""What is known of a peer, and the port that speaks to peers of another wire language than Agora."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from negotiator.clock import Deadline
from negotiator.errors import TooLarge
from negotiator.jsonvalue import JsonObject
from negotiator.late import Late
from negotiator.messages import Reply, Request
from negotiator.task import Task
from protocol_docs import ProtocolDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRecord:
    """What is known of a peer."""

    dialect: str
    """The name of the dialect it is spoken to in."""
    listing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The documents it lists, canonical hash to sources: `sha256:` where the text was among the sources, else the
    `sha1:` it was listed under."""
    ours: bool = False
    """Whether its engine is this one; it then understands our additional fields. Its own word, and no proof."""
    seen: float
    """When it last answered, Unix seconds."""
    expires: float
    """When it is asked anew, Unix seconds."""
    words: bool = True
    """Whether it reads natural language, and documents that it does not list."""
    about: JsonObject = field(default_factory=dict)
    """What else is needed to speak to a peer of another wire language."""
    says: tuple[tuple[str, str], ...] = ()
    """What it says it does, (name, description), where no document that it lists says so."""
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What a document of its listing is called and about, where that was told with the listing."""
    negotiates: bool = False
    """Whether it selects by itself under what document a task is asked of it; see `Selector`."""
    refused: str | None = None
    """Why it selected none for the task at hand."""
    selection: str = ""
    """Names what it selected: asked for anew, it is looked at anew."""
    body_bytes: int | None = None
    """Bytes of the largest request body that it takes, where it says so."""

    def require_room(self, body: bytes) -> None:
        """Raises `TooLarge` where a request with this body is one that the peer does not take."""
        if self.body_bytes is not None and len(body) > self.body_bytes:
            raise TooLarge(
                f"the peer takes {self.body_bytes} bytes at once, and the request has {len(body)}: ask for less at once, "
                "or hand files over by reference"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a `Speaker` learned of a peer; see `PeerRecord`."""

    listing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ours: bool = False
    words: bool = True
    about: JsonObject = field(default_factory=dict)
    says: tuple[tuple[str, str], ...] = ()
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    negotiates: bool = False
    body_bytes: int | None = None


class Speaker(Protocol):
    """Speaks another wire language than Agora."""

    @property
    def name(self) -> str:
        """What `PeerRecord.dialect` is of its peers."""
        ...

    def claims(self, base_url: str) -> bool:
        """Whether an address alone says that it is of this language; nothing is sent."""
        ...

    async def look(self, base_url: str, deadline: Deadline) -> Found | None:
        """What a peer says of itself; None where it does not speak this language.

        Asked of an address that is claimed, and of one that shows nothing of Agora. Raises `PeerUnreachable`,
        `PeerHungUp`, and `PeerMisspoke` where it does speak it and cannot be spoken to.
        """
        ...

    async def exchange(self, record: PeerRecord, request: Request, deadline: Deadline) -> Reply:
        """One request and its reply. Raises as `Reach.exchange` does."""
        ...

    async def aclose(self) -> None:
        """Let go of sessions."""
        ...


class Selector(Speaker, Protocol):
    """A `Speaker` of a language in which the peer selects the document for a task."""

    async def selected(
        self, record: PeerRecord, task: Task, *, words: bool, known: Callable[[], Sequence[str]], deadline: Deadline
    ) -> PeerRecord:
        """The record with what the peer has selected for a task: remembered, or asked for where it must be anew.

        `words`: whether natural language may be selected; `known` tells which documents would do, by their hashes.
        Raises the `PeerError`s.
        """
        ...

    async def drafted(
        self, record: PeerRecord, task: Task, document: ProtocolDocument, deadline: Deadline
    ) -> PeerRecord:
        """The record with what came of proposing a document. Raises the `PeerError`s."""
        ...


class LateSpeaker:
    """A `Speaker`, or a `Selector`, that is made for the first peer that may be of its language."""

    def __init__(self, name: str, claims: Callable[[str], bool], speaker: Late[Speaker]) -> None:
        """`name` and `claims` are known before; the rest is what `speaker` gives."""
        self.name = name
        self._claims = claims
        self._speaker = speaker

    def claims(self, base_url: str) -> bool:
        """See `Speaker.claims`."""
        return self._claims(base_url)

    async def look(self, base_url: str, deadline: Deadline) -> Found | None:
        """See `Speaker.look`."""
        return await self._speaker().look(base_url, deadline)

    async def exchange(self, record: PeerRecord, request: Request, deadline: Deadline) -> Reply:
        """See `Speaker.exchange`."""
        return await self._speaker().exchange(record, request, deadline)

    async def selected(
        self, record: PeerRecord, task: Task, *, words: bool, known: Callable[[], Sequence[str]], deadline: Deadline
    ) -> PeerRecord:
        """See `Selector.selected`; asked only of peers that negotiate."""
        selector = cast("Selector", self._speaker())
        return await selector.selected(record, task, words=words, known=known, deadline=deadline)

    async def drafted(
        self, record: PeerRecord, task: Task, document: ProtocolDocument, deadline: Deadline
    ) -> PeerRecord:
        """See `Selector.drafted`."""
        return await cast("Selector", self._speaker()).drafted(record, task, document, deadline)

    async def aclose(self) -> None:
        """See `Speaker.aclose`."""
        if (speaker := self._speaker.made) is not None:
            await speaker.aclose()
