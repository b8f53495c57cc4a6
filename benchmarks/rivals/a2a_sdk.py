"""a2a-sdk: an agent that answers data with data, and its client: `a2a_sdk.py serve`, `a2a_sdk.py call PORT ASKED`."""

import json
import sys
import uuid

import httpx
import timing
from a2a import types
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import get_data_parts, new_data_part, new_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore
from google.protobuf.json_format import MessageToDict, ParseDict
from starlette.applications import Starlette


class Forecaster(AgentExecutor):
    async def execute(self, context, queue):
        (asked,) = get_data_parts(context.message.parts)
        answer = {"degrees": float(len(asked["town"])), "sky": f"clear on {asked['on']}"}
        await queue.enqueue_event(new_message([new_data_part(answer)], context_id=context.context_id))

    async def cancel(self, context, queue):
        raise NotImplementedError


class Late:
    """The application, made when the port is known, which its card has to name."""

    app = None

    async def __call__(self, scope, receive, send):
        if self.app is None:
            self.app = application(scope["server"][1])
        await self.app(scope, receive, send)


def application(port):
    card = types.AgentCard(
        name="a rival",
        description="Tells the weather that is expected.",
        version="1",
        capabilities=types.AgentCapabilities(streaming=False),
        default_input_modes=["application/json"],
        default_output_modes=["application/json"],
        skills=[types.AgentSkill(id="forecast", name="Forecast", description="Town forecast.", tags=["weather"])],
    )
    card.supported_interfaces.add(
        url=f"http://127.0.0.1:{port}/rpc", protocol_binding="JSONRPC", protocol_version="1.0"
    )
    handler = DefaultRequestHandler(Forecaster(), InMemoryTaskStore(), agent_card=card)
    return Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/rpc")])


async def call(port, asked):
    http = httpx.AsyncClient(trust_env=False, timeout=30)
    card = await A2ACardResolver(http, f"http://127.0.0.1:{port}").get_agent_card()
    client = ClientFactory(
        ClientConfig(streaming=False, httpx_client=http, supported_protocol_bindings=["JSONRPC"])
    ).create(card)

    async def once():
        message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"data": asked}]}
        request = types.SendMessageRequest(message=ParseDict(message, types.Message()))
        events = [event async for event in client.send_message(request)]
        (answer,) = get_data_parts(events[-1].message.parts)
        if answer != {"degrees": float(len(asked["town"])), "sky": f"clear on {asked['on']}"}:
            raise AssertionError([MessageToDict(event) for event in events])

    await timing.obey(once)


if sys.argv[1] == "serve":
    timing.serve(Late())
else:
    timing.run(call(int(sys.argv[2]), json.loads(sys.argv[3])))
