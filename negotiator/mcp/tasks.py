"""`find_task` and `run_task`: what this agent and the peers it knows can do, behind two tools."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from negotiator.ask import ask
from negotiator.choosing import likeness
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import BadInput, NegotiatorError
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Effect, Reply
from negotiator.peers import KnownPeer
from negotiator.sharing import listed_documents
from negotiator.task import Task
from protocol_docs import ProtocolDocument

MAX_AT_ONCE: Final = 8
"""Peers that are asked what they list at a time."""
MAX_SCHEMA: Final = 8_000
"""Bytes of one schema that is shown; a larger one is had with the document."""
MAX_WORDS: Final = 500
"""Characters of a description that are shown."""
_IN_WORDS: Final = "in-words@"
_REQUEST: Final[JsonObject] = {
    "type": "object",
    "properties": {"request": {"type": "string"}},
    "required": ["request"],
    "additionalProperties": False,
}
_ANSWER: Final[JsonObject] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "description": "what the reply says, in its own words"}},
    "required": ["answer"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One task that can be run."""

    id: str
    """A tool's name; `sha256:<hex>@<address>` for a document of a peer's; `in-words@<address>` for a peer's words."""
    name: str
    description: str
    effect: Effect
    where: str
    input: JsonObject
    output: JsonObject


Own = Callable[[str, JsonObject], Awaitable[Reply]]
"""Calls one of the agent's own tools, by name."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of one agent, for one caller."""

    engine: Engine
    own: Own
    relay: bool
    """Whether the peers that the agent knows are asked for this caller."""

    async def find(self, arguments: JsonObject, deadline: Deadline, _key: str | None) -> Reply:
        """The tasks that are the most like the words of a query."""
        found = self._here()
        if self.relay:
            found += await self._elsewhere(str(arguments["query"]), deadline)
        wanted = str(arguments["query"])
        near = likeness((wanted, wanted), [(each.name, each.description) for each in found])
        ranked = sorted(zip(found, near, strict=True), key=lambda pair: (-pair[1], pair[0].id))
        limit: Any = arguments.get("limit", 5)
        tasks = [_shown(each) for each, _ in ranked[:limit]]
        return Reply(status="success", body={"tasks": tasks}, tier="routine")

    async def run(self, arguments: JsonObject, deadline: Deadline, key: str | None) -> Reply:
        """Run one of them. Raises what `negotiator.ask.ask` does."""
        named, value = str(arguments["task"]), arguments["input"]
        if named in self.engine.tools:
            reply = await self.own(named, value)
            if reply.status != "success":
                return reply
            return Reply(status="success", body={"output": reply.body, "tier": reply.tier}, tier=reply.tier)
        what, at, address = named.partition("@")
        peer = next((each for each in self.engine.peers.all() if each.base_url == address), None) if at else None
        if peer is None or not self.relay:
            raise BadInput("there is no such task: name one that find_task gave")
        task = await self._task(what, peer, deadline)
        outcome = await ask(
            self.engine,
            peer.base_url,
            task,
            value,
            deadline=deadline,
            idempotency_key=key,
        )
        body: JsonObject = {"output": outcome.json, "tier": outcome.tier, "peer_tier": outcome.peer_tier}
        return Reply(status="success", body=body, tier=outcome.tier)

    async def _task(self, what: str, peer: KnownPeer, deadline: Deadline) -> Task:
        if what == _IN_WORDS[:-1]:
            return Task(peer.about or "do what is requested", input=_REQUEST, output=_ANSWER)
        for found in await self._of(peer, deadline, wanted="", first=(what,)):
            if found.id == f"{what}@{peer.base_url}":
                return Task(
                    found.description,
                    name=found.name,
                    input=found.input,
                    output=found.output,
                    effect=found.effect,
                    natural_language=False,
                )
        raise BadInput("the peer lists no such document any more: look again with find_task")

    def _here(self) -> list[_Found]:
        return [
            _Found(
                id=tool.name,
                name=tool.name,
                description=tool.description,
                effect=tool.effect,
                where="here",
                input=tool.input.json_schema,
                output=tool.output.json_schema,
            )
            for tool in self.engine.tools.values()
        ]

    async def _elsewhere(self, wanted: str, deadline: Deadline) -> list[_Found]:
        at_once = asyncio.Semaphore(MAX_AT_ONCE)
        # A peer that does not answer costs a part of the time, and its own tasks.
        until = Deadline.after(max(deadline.remaining(), 0) / 2, self.engine.clock)

        async def look(peer: KnownPeer) -> list[_Found]:
            async with at_once:
                try:
                    return await self._of(peer, until, wanted=wanted)
                except NegotiatorError:
                    return []

        found = await asyncio.gather(*(look(peer) for peer in self.engine.peers.all()))
        return [each for of_one in found for each in of_one]

    async def _of(self, peer: KnownPeer, until: Deadline, *, wanted: str, first: tuple[str, ...] = ()) -> list[_Found]:
        record = await self.engine.reach.discover(peer.base_url, until)
        listed = listed_documents(self.engine, record, until, about=(wanted, wanted), first=first)
        documents = [document async for document in listed]
        found = [each for document in documents if (each := self._under(document, peer)) is not None]
        if peer.about and self.engine.has_model:
            about = _Found(
                id=_IN_WORDS + peer.base_url,
                name=peer.about[:80],
                description=peer.about,
                effect="transactional",
                where=peer.base_url,
                input=_REQUEST,
                output=_ANSWER,
            )
            found.append(about)
        return found

    def _under(self, document: ProtocolDocument, peer: KnownPeer) -> _Found | None:
        schemas, annex = self.engine.schemas_of(document), document.annex
        if schemas is None or annex is None:
            return None
        return _Found(
            id=f"{document.hash}@{peer.base_url}",
            name=document.name,
            description=document.description,
            effect=annex.effect or "transactional",
            where=peer.base_url,
            input=schemas.request.json_schema,
            output=schemas.reply.json_schema,
        )


def _shown(found: _Found) -> JsonObject:
    shown: JsonObject = {
        "task": found.id,
        "name": found.name,
        "description": found.description[:MAX_WORDS],
        "effect": found.effect,
        "where": found.where,
    }
    for word, schema in (("input_schema", found.input), ("output_schema", found.output)):
        if len(orjson.dumps(schema)) <= MAX_SCHEMA:
            shown[word] = schema
    return shown
