"""What an agent's card shows, and the door behind it, made of the agent's engine."""

from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version

from negotiator.a2a.door import A2ADoor
from negotiator.a2a.security import Asked
from negotiator.a2a.tasks import Tasks
from negotiator.admission import UnderWay
from negotiator.answer import answer
from negotiator.conversations import Conversations
from negotiator.dialects.a2a.card import Offer, Skill
from negotiator.engine import Engine
from negotiator.own_words import WORDS_ALONE
from negotiator.schemas import Schema
from negotiator.serving import DoorLimits, Listing
from protocol_docs import catalog


def door_of(
    engine: Engine,
    listing: Listing,
    conversations: Conversations,
    limits: DoorLimits,
    under_way: UnderWay,
    asked: Asked | None = None,
) -> A2ADoor:
    """The A2A door of an agent, whose card says what is `asked` of callers."""
    return A2ADoor(
        partial(answer, engine),
        offer=partial(offer_of, engine, listing),
        asked=asked,
        tools=engine.tools,
        request_schema=partial(_request_schema, engine),
        conversations=conversations,
        tasks=Tasks(engine.text, engine.clock),
        clock=engine.clock,
        new_id=engine.new_id,
        may_have_effects=engine.may_have_effects,
        limits=limits,
        under_way=under_way,
    )


def offer_of(engine: Engine, listing: Listing) -> Offer:
    """The agent as it shows itself: skills unless it publishes nothing, their schemas where it publishes all."""
    tools = [] if engine.publish == "none" else list(engine.tools.values())
    shown = engine.publish == "all"
    does = "; ".join(tool.description or tool.name for tool in tools)[:1_000]
    if engine.words_alone:
        does = f"The agent {engine.name}: {WORDS_ALONE}."
    return Offer(
        name=engine.name,
        description=does or f"The agent {engine.name}.",
        version=_version(),
        skills=tuple(
            Skill(
                id=tool.name,
                description=tool.description,
                effect=tool.effect,
                input_schema=tool.input.json_schema if shown else None,
                output_schema=tool.output.json_schema if shown else None,
            )
            for tool in tools
        ),
        documents={name: listed.sources for name, listed in listing().items() if name not in catalog.hashes()},
        negotiates_by=(catalog.negotiation_dialogue().hash,),
    )


def _request_schema(engine: Engine, protocol_hash: str) -> Schema | None:
    document = engine.documents.get(protocol_hash)
    schemas = None if document is None else engine.schemas_of(document)
    return None if schemas is None else schemas.request


@cache
def _version() -> str:
    try:
        return version("metaparley")
    except PackageNotFoundError:  # run from a checkout that nobody installed
        return "0"
