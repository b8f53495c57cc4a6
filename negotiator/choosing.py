"""Who does what: which of an agent's tools serves what a peer intends, by rule where words decide, else by the model."""

from negotiator.clock import Deadline
from negotiator.describe import fields_of
from negotiator.engine import Engine
from negotiator.errors import ModelError, UsageError
from negotiator.interpret import Interpreter
from negotiator.jsonvalue import JsonObject
from negotiator.ledger import Account
from negotiator.mapping import words
from negotiator.negotiation import Intent
from negotiator.schemas import Schema
from negotiator.task import Tool

CLEAR_LEAD = 1.5
"""How many times likelier the best tool must be than the next for words alone to decide."""
LEAST_LIKENESS = 0.05
"""Below this, words say nothing."""


async def intended_tool(engine: Engine, intent: Intent, deadline: Deadline) -> Tool | None:
    """The tool that does what is intended.

    A safe intent never gets a transactional tool. Words and schemas are compared first; where they leave it open
    the model chooses, and without a model the likeliest tool is offered: the opener checks that it fits.
    """
    tools = {
        name: tool
        for name, tool in engine.tools.items()
        if not (intent.effect == "safe" and tool.effect == "transactional")
    }
    if not tools:
        return None
    ranked = rank(intent, list(tools.values()))
    clear = _clear_lead(ranked)
    if clear is not None:
        return clear
    best, lead = _of_its_effect(intent, ranked)
    if engine.has_model and engine.within_budget:
        account = Account()
        engine.purse.begin(account)
        try:
            text = f"{intent.name}\n{intent.description}\n{intent.input_summary}"
            return await Interpreter(engine.model, account, deadline).choose_tool(text, tools)
        except ModelError:
            return best if lead >= LEAST_LIKENESS else None
        finally:
            engine.purse.end(account)
    return best if lead >= LEAST_LIKENESS else None


def clear_tool(intent: Intent, tools: list[Tool]) -> Tool | None:
    """The tool that words alone decide on; None where they leave it open."""
    return _clear_lead(rank(intent, tools))


def _clear_lead(ranked: list[tuple[Tool, float]]) -> Tool | None:
    if not ranked:
        return None
    (best, lead), runner_up = ranked[0], ranked[1][1] if len(ranked) > 1 else 0.0
    return best if lead >= LEAST_LIKENESS and lead >= CLEAR_LEAD * runner_up else None


def _of_its_effect(intent: Intent, ranked: list[tuple[Tool, float]]) -> tuple[Tool, float]:
    """The likeliest tool, or of those that words do not tell from it the likeliest that has the effect intended."""
    near = [each for each in ranked if CLEAR_LEAD * each[1] > ranked[0][1]]
    return next((each for each in near if each[0].effect == intent.effect), ranked[0])


def rank(intent: Intent, tools: list[Tool]) -> list[tuple[Tool, float]]:
    """The tools with their likeness to the intent (cosine, 0 to 1), the likeliest first."""
    wanted = _vector(intent.name, intent.description, _sound(intent.input_schema), _sound(intent.output_schema))
    offered = [_vector(tool.name, tool.description, tool.input.json_schema, tool.output.json_schema) for tool in tools]
    found = zip(tools, _near(wanted, offered), strict=True)
    return sorted(found, key=lambda pair: -pair[1])


def likeness(wanted: tuple[str, str], offered: list[tuple[str, str]]) -> list[float]:
    """How like each offer's name and description are to those that are wanted (cosine, 0 to 1), in order."""
    return _near(
        _vector(*wanted, None, None), [_vector(name, description, None, None) for name, description in offered]
    )


def _near(wanted: words.Vector, offered: list[words.Vector]) -> list[float]:
    rarity = words.rarity([wanted, *offered])
    return [words.cosine(wanted, vector, rarity) for vector in offered]


def _sound(schema: JsonObject | None) -> JsonObject | None:
    """A stranger's schema, where it is one."""
    if schema is None:
        return None
    try:
        return Schema.of(schema).json_schema
    except UsageError:
        return None


def _vector(
    name: str,
    description: str,
    takes: JsonObject | None,
    gives: JsonObject | None,
) -> words.Vector:
    weighted = [(word, 2.0) for word in words.words(name)] + [(word, 2.0) for word in words.words(description)]
    for schema, weight in ((takes, 1.0), (gives, 0.5)):
        if schema is not None:
            weighted += [(word, weight) for word in words.words(fields_of(schema)[:2_000])]
    return words.vector(weighted)
