"""Agents of other frameworks, with those installed: each page of docs/ about one is run as it stands.

Their models are scripted (`peers/scripted_brain.py`), and every call of them is counted.
"""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from negotiator import Agent, CostPolicy, Task
from negotiator.models.scripted import ScriptedModel

pytestmark = [pytest.mark.interop, pytest.mark.anyio]
DISTRIBUTIONS = {"pydantic-ai": "pydantic-ai-slim"}
NAMES = ("langgraph", "pydantic-ai", "openai-agents", "smolagents")
INPUT = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "day": {"type": "string"}},
    "required": ["city", "day"],
}
OUTPUT = {
    "type": "object",
    "properties": {"high": {"type": "number"}, "summary": {"type": "string"}},
    "required": ["high", "summary"],
}
WEATHER = Task("Weather forecast for a city on a day", input=INPUT, output=OUTPUT, effect="safe")
ROME = {"city": "Rome", "day": "2026-11-24"}


class Page:
    """A framework's process, which has run its page and serves the agent that the page made."""

    def __init__(self, name: str, peer: Any, called: list[str]) -> None:
        self.name = name
        self._peer = peer
        self.called = called
        self.url = f"http://127.0.0.1:{peer.hear()['port']}"

    def tell(self, do: str, **order: object) -> Any:
        return self._peer.tell(do=do, **order)


@pytest.fixture(scope="module", params=NAMES)
def page(
    request: pytest.FixtureRequest,
    python_with: Callable[..., str],
    start_peer: Callable[..., Any],
    serve_on: Callable[..., Any],
) -> Page:
    name = request.param
    # To import one takes seconds: that it is there is told by its version.
    there = f"importlib.metadata; importlib.metadata.version({DISTRIBUTIONS.get(name, name)!r})"
    python = python_with(name, there, low=11)
    called: list[str] = []
    near = Agent(state="memory", publish="all")

    @near.tool(effect="safe", inline=True, input=INPUT, output=OUTPUT, description=WEATHER.description)
    def weather(city: str, day: str) -> dict[str, object]:
        called.append(city)
        return {"high": 7.5, "summary": f"rain in {city} on {day}"}

    served = serve_on(near.asgi(), near)
    return Page(name, start_peer(python, "framework_page.py", name, served.url), called)


async def test_the_frameworks_model_is_a_model_of_ours_and_what_is_said_on_the_way_is_a_stream(page: Page) -> None:
    """Both sides use the one scripted model. The first of these tests: nothing is agreed on yet."""
    told = page.tell("ask", peer=page.url, value=ROME)
    assert told["tier"] == "natural_language"
    assert told["model"].startswith(("langchain/", "pydantic-ai/", "openai-agents/", "smolagents/"))
    assert told["output"] == {"high": 21.0, "summary": "sunny"}
    assert told["events"][0] == "TierChosen"
    assert told["events"][-1] == "Result"
    assert ("Partial" in told["events"]) == (page.name != "smolagents")


async def test_a_stranger_is_answered_in_words_and_after_the_tier_up_without_the_frameworks_model(page: Page) -> None:
    """What is counted is every call of the framework's model, which is scripted."""
    reading = ScriptedModel({"read_reply": {"answer": {"high": 21.0, "summary": "sunny in Rome on 2026-11-24"}}})
    spent: list[tuple[str, str, int]] = []
    first = page.tell("calls")
    async with Agent(reading, state="memory", cost_policy=CostPolicy(agree_first=False)) as stranger:
        for _ in range(6):
            before = page.tell("calls")
            outcome = await stranger.ask(page.url, WEATHER, ROME)
            assert outcome.json == {"high": 21.0, "summary": "sunny in Rome on 2026-11-24"}
            spent.append((outcome.tier, outcome.peer_tier, page.tell("calls") - before))
            await stranger.settle()
    assert spent[0][:2] == ("natural_language", "natural_language")
    assert spent[0][2] >= 2, "the framework's agent called its tool and put the result into words"
    assert spent[-1] == ("routine", "routine", 0)
    assert page.tell("calls") - first == sum(calls for _, _, calls in spent), "agreeing took no call of it either"


async def test_who_speaks_plain_agora_in_words_hears_what_the_frameworks_agent_says(page: Page) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        said = await client.post(page.url, json={"body": "What is the weather in Oslo on 2026-11-25?"}, timeout=30)
    assert said.status_code == 200
    assert "sunny in Oslo on 2026-11-25" in said.json()["body"]


async def test_the_frameworks_agent_uses_ours_as_its_tool(page: Page) -> None:
    page.called.clear()
    said = page.tell("words", text="What is the weather in Bern on 2026-11-26?")
    assert "rain in Bern on 2026-11-26" in said
    assert page.called == ["Bern"]


async def test_the_framework_reads_the_signatures_docstrings_and_schemas_of_our_functions(page: Page) -> None:
    told = page.tell("schemas")
    assert set(told) == {"weather", "find_task", "run_task"}
    assert {name: part["type"] for name, part in told["weather"]["properties"].items()} == {
        "city": "string",
        "day": "string",
    }
    assert told["find_task"]["properties"]["query"]["description"] == "what is to be done, in words"
    assert told["run_task"]["properties"]["input"]["type"] == "object"
    if page.name != "smolagents":  # which says `nullable` of each optional one
        assert told["weather"]["required"] == ["city", "day"]
        assert told["find_task"]["properties"]["limit"]["default"] == 5
        assert told["find_task"]["properties"]["limit"].get("maximum") == (None if page.name == "langgraph" else 10)


REFUSED = {
    "langgraph": {},
    "pydantic-ai": {"context": "RunContext", "approval": "approval"},
    "openai-agents": {"context": "context", "approval": "approval", "guardrail": "guardrails", "enabled": "enabled"},
    "smolagents": {"image": "by reference"},
}


async def test_their_tools_know_for_whom_they_run_and_what_would_be_passed_by_is_refused(page: Page) -> None:
    name, told = page.name, page.tell("edges")
    assert told["refused"].keys() == REFUSED[name].keys()
    assert all(word in told["refused"][why] for why, word in REFUSED[name].items())
    assert "nobody" in told["unknown"]
    assert told["tools"]["seen"] == ["safe", "Say for whom a city is looked at."]
    assert told["tools"]["fails"] == ["transactional", "Fail."]
    assert told["optional"] == ["city"], "what has a default may be left out"
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    assert told["seen"] == {"output": f"Rome for did:wba:someone in 9s {trace}"}
    assert told["bad"] == "bad_input"
    assert told["fails"]["code"] == "failed"
    assert "Rome" not in told["fails"]["detail"]
    assert told.get("by_hand", {"output": "by_hand Rome"}) == {"output": "by_hand Rome"}
