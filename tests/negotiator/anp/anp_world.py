"""Agents on different origins that speak ANP to each other, in one process: a clock that stands still, no network."""

from typing import Any

import orjson

from negotiator import Agent, Task
from negotiator.identity import Identity, MemorySigner
from negotiator.identity.authority import Authority
from negotiator.testing import World
from negotiator.wire import WireReply, WireRequest

HOTEL = "https://hotel.example"
TRAVEL = "https://travel.example"
TEXT = {"type": "string"}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


FORECAST = Task(
    "Weather forecast for a city and a day",
    input=obj(city=TEXT, day=TEXT),
    output=obj(high={"type": "integer"}, sky=TEXT),
    effect="safe",
    name="forecast",
)
BOOK = Task("Book a room", input=obj(room=TEXT), output=obj(number=TEXT), name="book")
VALUE = {"city": "Rome", "day": "Monday"}


class AnpWorld(World):
    """A hotel and a traveller: identities, origins, and everything that was sent between them."""

    def __init__(self) -> None:
        super().__init__()
        self.signer = MemorySigner()
        self.called: list[Any] = []

    def hotel(self, model: Any = None, *, url: str = HOTEL, **options: Any) -> Agent:
        """An agent with two tools at an origin."""
        identity = Identity.in_memory(url, signer=self.signer, clock=self.clock)
        options = {"authority": Authority(), **options}
        agent = self.agent("hotel", model, address=url, identity=identity, **options)

        @agent.tool(effect="safe", input=FORECAST.input.json_schema, output=FORECAST.output.json_schema)
        def forecast(city: str, day: str) -> Any:
            """Weather forecast for a city and a day."""
            self.called.append(("forecast", city, day))
            return {"high": len(city), "sky": "blue"}

        @agent.tool(input=BOOK.input.json_schema, output=BOOK.output.json_schema)
        def book(room: str) -> Any:
            """Book a room."""
            self.called.append(("book", room))
            return {"number": f"{room}-1"}

        return agent

    def traveller(self, model: Any = None, *, named: bool = True, url: str = TRAVEL, **options: Any) -> Agent:
        """An agent that asks."""
        if named:
            options["identity"] = Identity.in_memory(url, clock=self.clock)
        return self.agent("traveller", model, address=url, **options)

    def methods(self) -> list[str]:
        """The methods of JSON-RPC that were sent, in order."""
        return [
            each.body["method"] for each in self.carried if each.request.path.startswith("/anp") and each.request.body
        ]

    def negotiations(self) -> int:
        """How many times something was negotiated."""
        return self.methods().count("anp.negotiate")


def core(method: str, body: dict[str, Any], **meta: Any) -> dict[str, Any]:
    """A request of the Core Binding."""
    profile = "anp.core.binding.v1" if method == "anp.get_capabilities" else "anp.meta.negotiation.v1"
    said = {"profile": profile, "security_profile": "transport-protected", **meta}
    said = {name: value for name, value in said.items() if value is not None}
    return {"jsonrpc": "2.0", "id": "r-1", "method": method, "params": {"meta": said, "body": body}}


class Caller:
    """What anybody can send to an agent's handler."""

    def __init__(self, agent: Agent, principal: str = "anonymous") -> None:
        self.agent = agent
        self.handler = agent.handler()
        self.principal = principal
        assert agent.identity is not None
        self.did = agent.identity.did
        self._number = 0

    async def send(self, message: Any, path: str = "/anp", **headers: str) -> WireReply:
        body = message if isinstance(message, bytes) else orjson.dumps(message)
        wire = WireRequest(path=path, headers=headers, body=body, principal=self.principal, peer="192.0.2.1")
        return await self.handler(wire)

    async def post(self, message: Any, path: str = "/anp", **headers: str) -> Any:
        return orjson.loads((await self.send(message, path, **headers)).body)

    async def get(self, path: str) -> Any:
        reply = await self.handler(WireRequest(method="GET", path=path))
        return orjson.loads(reply.body) if reply.status == 200 else reply.status

    async def negotiate(
        self, body: dict[str, Any] | None = None, /, *, operation: str | None = None, **meta: Any
    ) -> Any:
        self._number += 1
        said = {
            "target": {"kind": "agent", "did": self.did},
            "operation_id": operation or f"op-{self._number}",
            "sender_did": None if self.principal == "anonymous" else self.principal,
            **meta,
        }
        return await self.post(core("anp.negotiate", body if body is not None else INTENT, **said))


INTENT: dict[str, Any] = {
    "intent": {"name": "forecast", "description": "Weather forecast for a city", "intentTags": ["effect.safe"]}
}


def code_of(answered: Any) -> tuple[int, str]:
    """The number and the word of an error."""
    error = answered["error"]
    return error["code"], error.get("data", {}).get("anp_code", "")
