"""a2a-sdk 1.3.0 at the orders of a test: its client, and a server of agents that know nothing of us.

The first line out is {"port"}. Agents are at /words (text alone), /asks (asks for the number that is missing) and
/typed (says in its card, by our extension, what its skill takes and gives). Then one order a line in, one answer out:
{"do": "send", "base", "binding", "streaming", "parts", "metadata", "extensions", "task", "context", "id",
 "immediately"} -> {"events": [...]} or {"error", "type"}
{"do": "get" | "cancel" | "list" | "subscribe" | "push" | "card", ...} -> {"result"} or {"error", "type"}
{"do": "count"} -> how many messages each agent has had
"""

import asyncio
import json
import re
import socket
import sys
import threading
import uuid

import httpx
import uvicorn
from a2a import types
from a2a.client import A2ACardResolver, ClientCallContext, ClientConfig, ClientFactory
from a2a.client.service_parameters import ServiceParametersFactory, with_a2a_extensions
from a2a.helpers.proto_helpers import get_data_parts, new_data_part, new_message, new_task, new_text_part
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import TaskState
from google.protobuf.json_format import MessageToDict, ParseDict
from starlette.applications import Starlette
from starlette.routing import Mount

HEARD = {"words": 0, "asks": 0, "typed": 0}
PROTOCOL_DOCUMENTS = "https://w3id.org/metaparley/protocol-documents/v1"
SCHEMAS = {
    "inputSchema": {
        "type": "object",
        "properties": {"number": {"type": "integer"}},
        "required": ["number"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {"twice": {"type": "integer"}},
        "required": ["twice"],
        "additionalProperties": False,
    },
    "effect": "safe",
}


class Doubler(AgentExecutor):
    def __init__(self, name):
        self.name = name

    async def execute(self, context, queue):
        HEARD[self.name] += 1
        data = get_data_parts(context.message.parts)
        where = {"context_id": context.context_id, "task_id": context.task_id}
        if data and self.name == "typed":
            number = int(data[0]["number"])
            answer = {"twice": str(2 * number) if abs(2 * number) > 2**53 else 2 * number}
            await queue.enqueue_event(new_message([new_data_part(answer)], context_id=context.context_id))
            return
        found = re.findall(r"-?\d+", context.get_user_input())
        if found:
            said = new_message([new_text_part(f"Twice that is {2 * int(found[-1])}.")], **where)
            if context.current_task is None:
                said.ClearField("task_id")
                await queue.enqueue_event(said)
            else:
                status = types.TaskStatus(state=TaskState.TASK_STATE_COMPLETED, message=said)
                await queue.enqueue_event(types.TaskStatusUpdateEvent(status=status, **where))
            return
        await queue.enqueue_event(new_task(context.task_id, context.context_id, TaskState.TASK_STATE_WORKING))
        asked = new_message([new_text_part("Which number?")], **where)
        status = types.TaskStatus(state=TaskState.TASK_STATE_INPUT_REQUIRED, message=asked)
        await queue.enqueue_event(types.TaskStatusUpdateEvent(status=status, **where))

    async def cancel(self, context, queue):
        raise NotImplementedError


def agent(name, port):
    base = f"http://127.0.0.1:{port}/{name}"
    card = types.AgentCard(
        name=name,
        description="Doubles numbers.",
        version="1",
        capabilities=types.AgentCapabilities(streaming=True),
        default_input_modes=["text/plain", "application/json"],
        default_output_modes=["text/plain", "application/json"],
        skills=[types.AgentSkill(id="double", name="Double", description="Double a number.", tags=["numbers"])],
    )
    if name == "typed":
        ParseDict(
            {"uri": PROTOCOL_DOCUMENTS, "params": {"skills": {"double": SCHEMAS}}}, card.capabilities.extensions.add()
        )
        card.supported_interfaces.add(url=f"{base}/rest", protocol_binding="HTTP+JSON", protocol_version="1.0")
    card.supported_interfaces.add(url=f"{base}/rpc", protocol_binding="JSONRPC", protocol_version="1.0")
    handler = DefaultRequestHandler(Doubler(name), InMemoryTaskStore(), agent_card=card)
    return Mount(
        f"/{name}",
        routes=[
            *create_agent_card_routes(card),
            *create_jsonrpc_routes(handler, "/rpc"),
            *create_rest_routes(handler, path_prefix="/rest"),
        ],
    )


def serve():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = Starlette(routes=[agent(name, port) for name in HEARD])
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    return port


async def connected(order):
    http = httpx.AsyncClient(trust_env=False, timeout=30)
    card = await A2ACardResolver(http, order["base"]).get_agent_card()
    config = ClientConfig(
        streaming=order.get("streaming", order["do"] == "subscribe"),
        httpx_client=http,
        supported_protocol_bindings=[order.get("binding", "JSONRPC")],
    )
    return ClientFactory(config).create(card), card


async def obey(order):
    if order["do"] == "count":
        return {"result": HEARD}
    client, card = await connected(order)
    context = None
    if order.get("extensions"):
        with_extensions = with_a2a_extensions(order["extensions"])
        context = ClientCallContext(service_parameters=ServiceParametersFactory.create([with_extensions]))
    match order["do"]:
        case "card":
            return {"result": MessageToDict(card)}
        case "send":
            message = ParseDict(
                {
                    "messageId": order.get("id") or str(uuid.uuid4()),
                    "role": "ROLE_USER",
                    "parts": order["parts"],
                    "metadata": order.get("metadata", {}),
                    "taskId": order.get("task", ""),
                    "contextId": order.get("context", ""),
                },
                types.Message(),
            )
            request = types.SendMessageRequest(message=message)
            request.configuration.return_immediately = order.get("immediately", False)
            return {"events": [MessageToDict(event) async for event in client.send_message(request, context=context)]}
        case "get":
            return {"result": MessageToDict(await client.get_task(types.GetTaskRequest(id=order["task"])))}
        case "cancel":
            return {"result": MessageToDict(await client.cancel_task(types.CancelTaskRequest(id=order["task"])))}
        case "list":
            listed = await client.list_tasks(types.ListTasksRequest(context_id=order["context"], page_size=10))
            return {"result": MessageToDict(listed)}
        case "subscribe":
            events = client.subscribe(types.SubscribeToTaskRequest(id=order["task"]))
            return {"events": [MessageToDict(event) async for event in events]}
        case "push":
            asked = types.TaskPushNotificationConfig(task_id=order["task"], id="p", url="http://127.0.0.1:9/")
            return {"result": MessageToDict(await client.create_task_push_notification_config(asked))}
    raise ValueError(order["do"])


def main():
    sys.stdout.write(json.dumps({"port": serve()}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        try:
            told = asyncio.run(obey(json.loads(line)))
        except Exception as error:  # noqa: BLE001 - told to the test
            told = {"error": str(error), "type": type(error).__name__}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


main()
