"""One server of the speed benchmarks, in a process of its own: `python -m benchmarks.receivers CASE`.

All cases are behind what `negotiator serve` uses, which answers warm requests of an agent below ASGI; `mapping_asgi` is
the agent's ASGI application alone, behind the same server as an application that somebody else wrote. It says its port in a line of JSON, and ends with its standard input.
"""

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import orjson

from benchmarks.exchange import DOCUMENT, REPLY_SCHEMA, REQUEST_SCHEMA, forecast, offer
from negotiator import Agent
from negotiator.cli.serving import listen, run, serve_agent, serve_app

ASGI: Final = "_asgi"
"""What the name of a case ends in that is no more than an ASGI application."""
EXECUTORS: Final = {"code": "locked", "trusted": "trusted"}
_HEAD: Final = [(b"content-type", b"application/json")]


async def _body(receive: Callable[..., Any]) -> bytes:
    event = await receive()
    if not event.get("more_body", False):
        body: bytes = event.get("body", b"")
        return body
    parts = [event.get("body", b"")]
    while event.get("more_body", False):
        event = await receive()
        parts.append(event.get("body", b""))
    return b"".join(parts)


async def _send(send: Callable[..., Any], status: int, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*_HEAD, length]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """A bare ASGI application that gives back what it gets."""
    if scope["type"] == "http":
        await _send(send, 200, await _body(receive))


def by_hand() -> Callable[..., Any]:
    """What somebody writes who does the same work by hand, for this one exchange, and checks as we do."""
    fits = jsonschema_rs.validator_for(REQUEST_SCHEMA, validate_formats=True).is_valid
    is_reply = jsonschema_rs.validator_for(REPLY_SCHEMA, validate_formats=True).is_valid
    name = next(each for each in DOCUMENT.aliases if each.startswith("sha1:")).removeprefix("sha1:")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return None
        asked = orjson.loads(await _body(receive))
        if asked.get("protocolHash") != name:
            return await _send(send, 404, b'{"status":"rejected"}')
        body = asked["body"]
        if not fits(body):
            return await _send(send, 400, b'{"status":"failure","error":"the body does not fit"}')
        made = await forecast(city=body["town"], day=body["on"], notes=body.get("remarks", ""))
        reply = {"degrees": made["celsius"], "sky": made["summary"]}
        if not is_reply(reply):
            return await _send(send, 500, b'{"status":"failure","error":"the reply does not fit"}')
        await _send(send, 200, orjson.dumps({"status": "success", "body": reply}))
        return None

    return app


def agent_of(case: str, state: Path | str) -> Agent:
    """An agent that answers the exchange by this kind of routine."""
    agent = Agent(model="none", publish="agreed", state=state, executor=EXECUTORS.get(case))
    offer(agent, "code" if case in EXECUTORS else case)
    return agent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=("echo", "handwritten", "mapping", "mapping_asgi", "native", *EXECUTORS))
    parser.add_argument("--state", default="memory")
    chosen = parser.parse_args()
    listening = listen("127.0.0.1", 0)
    run(_serve(chosen.case, chosen.state, listening))


async def _serve(case: str, state: str, listening: socket.socket) -> None:
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    begun = time.perf_counter()

    def ready() -> None:
        told = {"port": listening.getsockname()[1], "seconds": time.perf_counter() - begun}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, daemon=True).start()
    if case in ("echo", "handwritten"):
        await serve_app(echo if case == "echo" else by_hand(), listening, ready=ready, until=ended)
    elif case.endswith(ASGI):
        agent = agent_of(case.removesuffix(ASGI), state)
        await serve_app(agent.asgi(), listening, ready=ready, until=ended)
        await agent.aclose()
    else:
        await serve_agent(agent_of(case, state), listening, ready=ready, until=ended)


if __name__ == "__main__":
    main()
