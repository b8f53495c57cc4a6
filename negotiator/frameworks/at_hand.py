"""What an agent can do for the program that it is a part of, for `Agent.as_tools`."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from negotiator.agora_replies import error_of
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.dialects.offered import Offered
from negotiator.engine import Engine
from negotiator.frameworks.functions import Run, Told
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.outcome import Outcome
from negotiator.schemas import Schema
from negotiator.serving import ExchangeContext, Listing
from negotiator.task import Task

HOST_PROGRAM: Final = "host:program"
"""The principal of the program that an agent is a part of."""


def asking(ask: Callable[..., Awaitable[Outcome]], task: Task) -> tuple[Told, Run]:
    """What asks a peer for a task."""

    async def run(arguments: JsonObject) -> JsonValue:
        return (await ask(task, arguments)).json

    return Told(name=task.name, description=task.description, input=task.input, output=task.output), run


def at_hand(engine: Engine, listing: Listing, seconds: float | None) -> list[tuple[Told, Run]]:
    """The agent's own tools, each call journaled and answered as a peer's is; and what finds and runs tasks anywhere."""
    from negotiator.mcp.offer import FIND, RUN, Offer  # noqa: PLC0415 - imported on use

    offer = Offer(engine, partial(answer, engine), listing, relay=True)

    def calling(tool: Offered) -> tuple[Told, Run]:
        async def run(arguments: JsonObject) -> JsonValue:
            told.input.check(arguments)  # a peer's error for it says less
            deadline = Deadline.after(engine.request_seconds if seconds is None else seconds, engine.clock)
            context = ExchangeContext(dialect="host", deadline=deadline, principal=HOST_PROGRAM)
            reply = await offer.call(tool, arguments, context, engine.new_id())
            failed = error_of(reply)
            if failed is not None:
                raise failed
            return reply.body

        told = Told(
            name=tool.name,
            description=tool.description,
            input=Schema.of(tool.input),
            output=Schema.of(tool.output),
        )
        return told, run

    own = [each for each in offer.tools(extension=True) if each.name in engine.tools]
    return [calling(each) for each in (*own, FIND, RUN)]
