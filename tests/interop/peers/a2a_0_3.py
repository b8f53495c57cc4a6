"""a2a-sdk 0.3.26 at the orders of a test: its client, and a server of agents that know nothing of us.

The first line out is {"port"}; the agents are /words and /asks of `a2a_1_3.py`, and /http, which is /words over
HTTP+JSON alone. Then one order a line in, one out:
{"do": "send", "base", "streaming", "parts", "metadata", "extensions", "task", "context", "id"}
    -> {"events": [...]} or {"error", "type"}
{"do": "subscribe", ...} -> {"events": [...]} or {"error", "type"}
{"do": "get" | "cancel" | "push" | "count", ...} -> {"result"} or {"error", "type"}
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
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.server.agent_execution import AgentExecutor
from a2a.server.apps import A2ARESTFastAPIApplication, A2AStarletteApplication
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.utils import new_agent_text_message, new_task
from starlette.applications import Starlette
from starlette.routing import Mount

HEARD = {"words": 0, "asks": 0, "http": 0}


class Doubler(AgentExecutor):
    def __init__(self, name):
        self.name = name

    async def execute(self, context, queue):
        HEARD[self.name] += 1
        found = re.findall(r"-?\d+", context.get_user_input())
        if found and context.current_task is None:
            said = f"Twice that is {2 * int(found[-1])}."
            await queue.enqueue_event(new_agent_text_message(said, context_id=context.context_id))
            return
        task = context.current_task or new_task(context.message)
        await queue.enqueue_event(task)
        updater = TaskUpdater(queue, task.id, task.context_id)
        if found:
            await updater.complete(updater.new_agent_message([text_part(f"Twice that is {2 * int(found[-1])}.")]))
        else:
            await updater.requires_input(updater.new_agent_message([text_part("Which number?")]))

    async def cancel(self, context, queue):
        raise NotImplementedError


def text_part(text):
    return types.Part(root=types.TextPart(text=text))


def agent(name, port):
    card = types.AgentCard(
        name=name,
        description="Doubles numbers.",
        version="1",
        url=f"http://127.0.0.1:{port}/{name}" + ("" if name == "http" else "/"),
        preferred_transport="HTTP+JSON" if name == "http" else "JSONRPC",
        capabilities=types.AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[types.AgentSkill(id="double", name="Double", description="Double a number.", tags=["numbers"])],
    )
    handler = DefaultRequestHandler(Doubler(name), InMemoryTaskStore())
    application = A2ARESTFastAPIApplication if name == "http" else A2AStarletteApplication
    return Mount(f"/{name}", app=application(card, handler).build())


def serve():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = Starlette(routes=[agent(name, port) for name in HEARD])
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    return port


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def event_of(given):
    if isinstance(given, types.Message):
        return plain(given)
    task, update = given
    return plain(update if update is not None else task)


async def obey(order):
    if order["do"] == "count":
        return {"result": HEARD}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        card = await A2ACardResolver(http, order["base"]).get_agent_card()
        config = ClientConfig(
            streaming=order.get("streaming", False),
            httpx_client=http,
            supported_transports=[order.get("binding", "JSONRPC")],
            use_client_preference=True,
        )
        client = ClientFactory(config).create(card, extensions=order.get("extensions"))
        if order["do"] == "get":
            return {"result": plain(await client.get_task(types.TaskQueryParams(id=order["task"])))}
        if order["do"] == "subscribe":
            events = client.resubscribe(types.TaskIdParams(id=order["task"]))
            return {"events": [event_of(each) async for each in events]}
        if order["do"] == "push":
            hook = types.PushNotificationConfig(url="https://hook.example/")
            asked = types.TaskPushNotificationConfig(task_id=order["task"], push_notification_config=hook)
            return {"result": plain(await client.set_task_callback(asked))}
        if order["do"] == "cancel":
            return {"result": plain(await client.cancel_task(types.TaskIdParams(id=order["task"])))}
        message = types.Message(
            message_id=order.get("id") or str(uuid.uuid4()),
            role=types.Role.user,
            parts=order["parts"],
            metadata=order.get("metadata"),
            task_id=order.get("task"),
            context_id=order.get("context"),
        )
        return {"events": [event_of(each) async for each in client.send_message(message)]}


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
