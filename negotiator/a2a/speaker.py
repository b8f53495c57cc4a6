"""The sender's edge over A2A: what a peer's card says of it, and one message to it and back.

A skill whose schemas the card tells becomes a document, drafted by rule, that the peer lists; a request under it is
the skill's input. What the peer's own documents say goes under their hash, to peers that declare our extension. To
any other, only natural language is sent.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from urllib.parse import urlsplit

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.clock import Deadline
from negotiator.dialects import sse
from negotiator.dialects.a2a import asking, extension
from negotiator.dialects.a2a import card as cards
from negotiator.dialects.a2a.asking import Answered, Place
from negotiator.dialects.a2a.card import Card
from negotiator.dialects.a2a.numbers import restored
from negotiator.dialects.a2a.objects import Message, data_part, text_part
from negotiator.dialects.a2a.security import NOTHING, Security
from negotiator.dialects.a2a.watching import Watched
from negotiator.dialects.addresses import A2A_CARD, of_a2a
from negotiator.dialects.peer_tool import drafted_tool
from negotiator.errors import NotPossible, PeerHungUp, PeerMisspoke
from negotiator.events import emit, listener
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Reply, Request
from negotiator.oauth.errors import AuthorizationNeeded
from negotiator.schemas import Schema
from negotiator.speaking import Found, PeerRecord
from negotiator.wire import StreamTransport, Transport, WireReply, WireRequest, origin_of
from protocol_docs import as_data_uri, catalog

NAME: Final = "a2a"
MAX_DRAFTED: Final = 256
"""Skills of one card that become documents."""
MAX_EVENT: Final = 4 * 1_048_576
"""Bytes of one event of a stream."""
MAX_SAID: Final = 300
"""Characters of a skill's description that are kept of a peer."""
_GATEWAY_LOST_IT: Final = (502, 504)
_UNAUTHORIZED: Final = 401
_FIRST_LOOK: Final = 0.05
_LONGEST_WAIT: Final = 2.0
"""Seconds between two looks at a task, at first and at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """What a card told, in a record of the peer."""

    place: Place
    ours: bool = False
    """Whether it negotiates by our dialogue, and so takes documents by hash."""
    documents: tuple[str, ...] = ()
    """Those that it lists itself."""
    skills: dict[str, str] = field(default_factory=dict)
    """The skill by the hash of the document that was drafted for it."""
    security: Security = NOTHING
    """What it asks of its callers."""
    streams: bool = False
    """Whether it tells of tasks while they are under way."""


class Prepare(Protocol):
    """Sees to it that requests to an agent prove what its card asks for; `Authorizer.prepare` is one."""

    async def __call__(self, url: str, security: Security, deadline: Deadline) -> None:
        """Raises `AuthorizationNeeded` where that is not to be had."""
        ...


class A2ASpeaker:
    """A `Speaker` of A2A 1.0 and 0.3, over JSON-RPC, and over HTTP+JSON of 1.0."""

    name = NAME

    def __init__(
        self,
        transport: Transport,
        reply_schema: Callable[[str], Schema | None],
        *,
        prepare: Prepare | None = None,
    ) -> None:
        """Send through `transport`.

        Args:
            transport: What shows what `prepare` got.
            reply_schema: What the reply under a document looks like, by its hash.
            prepare: How what a card asks for is got; without it, nothing is.
        """
        self._transport = transport
        self._reply_schema = reply_schema
        self._prepare = prepare

    def claims(self, base_url: str) -> bool:
        """The address of a card leaves no doubt."""
        return of_a2a(base_url)

    async def aclose(self) -> None:
        """Nothing is held."""

    async def look(self, base_url: str, deadline: Deadline) -> Found | None:
        """What a peer's card says; None where it shows none.

        Raises `PeerUnreachable` and `PeerHungUp`, and `PeerMisspoke` for an agent that cannot be spoken to.
        """
        card = await self._card(base_url, deadline)
        if card is None:
            return None
        if self._prepare is not None and card.security.needs and not card.skills:
            # To whom it does not know, an agent may say no more than what it asks for.
            with suppress(AuthorizationNeeded):
                await self._prepare(base_url.removesuffix(A2A_CARD), card.security, deadline)
                card = await self._card(base_url, deadline) or card
        if card.requires:
            raise PeerMisspoke(f"{base_url} requires an extension of A2A that is not spoken here: {card.requires[0]}")
        origin = origin_of(base_url)
        here = [each for each in card.interfaces if origin_of(each.url) == origin]
        if not here:
            raise PeerMisspoke(f"the card of {base_url} names no interface there that is spoken here")
        chosen = here[0]
        place = Place(
            base=origin,
            path=urlsplit(chosen.url).path.rstrip("/") if chosen.binding == "HTTP+JSON" else urlsplit(chosen.url).path,
            binding=chosen.binding,
            version=chosen.version,
        )
        skills, drafted = await asyncio.to_thread(_drafted, card)
        about = _About(
            place=place,
            ours=card.extended and catalog.negotiation_dialogue().hash in card.negotiates_by,
            documents=tuple(card.documents),
            skills=skills,
            security=card.security,
            streams=card.streams,
        )
        listing = {name: sources for name, sources in card.documents.items() if sources}
        # Where the peer lists the document that its skill makes, there is nothing to fetch.
        if about.ours:
            listing[catalog.negotiation_dialogue().hash] = ()
        said = {skill.id: skill for skill in card.skills}
        return Found(
            listing={**listing, **drafted},
            names={name: (said[skill].id, said[skill].description[:MAX_SAID]) for name, skill in skills.items()},
            ours=about.ours,
            about=adapter(_About).dump_python(about, mode="json"),
            says=tuple(
                (skill.id, skill.description[:MAX_SAID]) for skill in card.skills if skill.id not in skills.values()
            )[:MAX_DRAFTED],
        )

    async def exchange(self, record: PeerRecord, request: Request, deadline: Deadline) -> Reply:
        """One message and what comes of it, a task included: it is looked at until it is over.

        Raises as `Reach.exchange` does.
        """
        try:
            about = adapter(_About).validate_python(record.about)
        except ValidationError as error:
            raise PeerMisspoke("what is remembered of the peer cannot be read") from error
        message = self._message(about, request)
        if message is None:
            return Reply(status="rejected", code="unsupported_protocol", error="the peer knows no such documents")
        place = about.place
        if self._prepare is not None and about.security.needs:
            await self._prepare(place.base + place.path, about.security, deadline)
        if about.streams and listener() is not None and isinstance(self._transport, StreamTransport):
            answered = await self._watched(self._transport, place, message, deadline)
        else:
            answered = asking.read_answer(await self._send(place, asking.write_send(place, message), deadline), place)
        wait = _FIRST_LOOK
        while (task := asking.under_way(answered)) is not None:
            if deadline.remaining() <= wait:
                raise PeerHungUp("the peer's task is still under way")
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
            answered = asking.read_answer(await self._send(place, asking.write_get(place, task.id), deadline), place)
        reply = asking.as_reply(answered, in_words=not request.hashes)
        return self._restored(reply, request)

    def _message(self, about: _About, request: Request) -> Message | None:
        """None for a document that the peer cannot be asked under. Raises `NotPossible`."""
        if request.kind != "exchange":
            raise NotPossible("A2A has no negotiation in words")
        metadata: JsonObject = {}
        extensions: tuple[str, ...] = ()
        if request.hashes:
            by_hash = about.ours or set(request.hashes) & set(about.documents)
            skill = next((about.skills[name] for name in request.hashes if name in about.skills), None)
            if by_hash and not (skill is not None and not set(request.hashes) & set(about.documents)):
                metadata = {extension.DOCUMENT: list(request.hashes)}
                if request.sources:
                    metadata[extension.SOURCES] = list(request.sources)
                extensions = (extension.URI,)
            elif skill is not None:
                metadata = {extension.SKILL: skill, "skillId": skill}
                extensions = (extension.URI,)
            else:
                return None
        body = request.body
        part = text_part(body) if isinstance(body, str) else data_part(body)
        return Message(
            id=request.idempotency_key or secrets.token_urlsafe(18),
            speaker="user",
            parts=(part,),
            task=request.conversation,
            metadata=metadata,
            extensions=extensions,
        )

    def _restored(self, reply: Reply, request: Request) -> Reply:
        """The reply with whole numbers where its document says so."""
        if reply.status != "success" or isinstance(reply.body, str):
            return reply
        schema = next((found for name in request.hashes if (found := self._reply_schema(name)) is not None), None)
        return reply if schema is None else replace(reply, body=restored(reply.body, schema.json_schema))

    async def _watched(
        self, transport: StreamTransport, place: Place, message: Message, deadline: Deadline
    ) -> Answered:
        """What came of a message, or its task as far as its stream told of it, with what it told on the way.

        Raises as `_send` does, and `PeerHungUp` where the stream told nothing.
        """
        wire = asking.write_send(place, message, watched=True)
        reply = _checked(place, await transport.open(place.base, wire, deadline=deadline))
        if not reply.headers.get("content-type", "").startswith(sse.MEDIA_TYPE):
            if reply.chunks is not None:
                async with aclosing(reply.chunks) as chunks:
                    reply = replace(reply, body=b"".join([part async for part in chunks]), chunks=None)
            return asking.read_answer(reply, place)
        watched, reader = Watched(place), sse.EventReader(MAX_EVENT)
        with suppress(PeerHungUp):  # a task that is known can be looked at
            async for part in _parts(reply):
                for data in reader.feed(part):
                    for told in watched.feed(data):
                        emit(told)
                if watched.over:
                    break
        if watched.answered is None:
            raise PeerHungUp(f"{place.base}: the stream ended before it told of a task")
        return watched.answered

    async def _send(self, place: Place, wire: WireRequest, deadline: Deadline) -> WireReply:
        return _checked(place, await self._transport.send(place.base, wire, deadline=deadline))

    async def _card(self, base_url: str, deadline: Deadline) -> Card | None:
        """The card at the address itself, else at its origin."""
        given = base_url.rstrip("/").removesuffix(A2A_CARD)
        for base in dict.fromkeys((given, origin_of(given))):
            request = WireRequest(method="GET", path=A2A_CARD, headers={"accept": "application/json"})
            with suppress(PeerMisspoke):
                wire = await self._transport.send(base, request, deadline=deadline)
                if wire.status == 200:  # noqa: PLR2004 - HTTP
                    return cards.read_card(wire.body)
        return None


def _checked(place: Place, reply: WireReply) -> WireReply:
    """A reply of the agent's own. Raises `AuthorizationNeeded` and `PeerHungUp`."""
    if reply.status == _UNAUTHORIZED:
        raise AuthorizationNeeded(f"{place.base} asks for a proof that is not at hand: see Agent(oauth=, identity=)")
    if reply.status in _GATEWAY_LOST_IT:
        raise PeerHungUp(f"{place.base}: a gateway before it answered {reply.status}")
    return reply


async def _parts(reply: WireReply) -> AsyncGenerator[bytes, None]:
    if reply.chunks is None:
        yield reply.body + b"\n\n"
        return
    async with aclosing(reply.chunks) as chunks:
        async for part in chunks:
            yield part


def _drafted(card: Card) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """A document for each skill whose schemas are told: the skill and the source by its hash."""
    skills: dict[str, str] = {}
    drafted: dict[str, tuple[str, ...]] = {}
    for skill in card.skills:
        if skill.input_schema is None or skill.output_schema is None or len(skills) >= MAX_DRAFTED:
            continue
        takes, gives = skill.input_schema, skill.output_schema
        tool = drafted_tool(skill.id, skill.description, takes=takes, gives=gives, effect=skill.effect)
        # A schema that cannot be used is no reason not to speak to the peer in words.
        if tool is not None:
            skills[tool.document.hash] = tool.name
            drafted[tool.document.hash] = (as_data_uri(tool.document),)
    return skills, drafted
