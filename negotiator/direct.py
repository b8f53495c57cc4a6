"""The agent's own tools by their names, for dialects in which those are what is offered and called."""

from negotiator.dialects.offered import Offered
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Reply, Request
from negotiator.serving import Answer, ExchangeContext, in_time
from negotiator.task import Tool
from protocol_docs import catalog


def offered(tool: Tool) -> Offered:
    """A tool as dialects show it."""
    return Offered(
        name=tool.name,
        description=tool.description,
        input=tool.input.json_schema,
        output=tool.output.json_schema,
        effect=tool.effect,
    )


async def call_tool(
    answer: Answer, name: str, arguments: JsonObject, context: ExchangeContext, key: str | None = None
) -> Reply:
    """Call a tool on the path that every request goes: authority, journal, replies, ledger. The body is its result.

    `key` is the caller's idempotency key. Raises what `answer` does, and `DeadlinePassed`.
    """
    request = Request(
        body={"task": name, "input": arguments}, hashes=catalog.direct_json().aliases, idempotency_key=key
    )
    reply = await in_time(answer, request, context)
    match reply.body:
        case {"output": output}:
            return Reply(status=reply.status, body=output, tier=reply.tier)
        case {"error": {"code": str(code), "detail": str(detail)}}:
            return Reply(status="failure", code=code, error=detail)
        case _:
            return reply
