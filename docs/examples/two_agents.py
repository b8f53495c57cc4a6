from datetime import date

from pydantic import BaseModel

from negotiator import Agent, Task


class Forecast(BaseModel):
    high: float
    summary: str


class PlaceAndDate(BaseModel):
    place: str
    when: date


weather_agent = Agent(model="local", publish="agreed")


@weather_agent.tool(effect="safe")
def forecast(location: str, day: date) -> Forecast:
    """Weather forecast for a location on a day."""
    return Forecast(high=21.0, summary=f"sunny in {location} on {day:%d %B}")


caller = Agent(model="openai/gpt-5-mini")
weather = Task("Weather forecast for a place and a date", input=PlaceAndDate, output=Forecast, effect="safe")


async def main() -> None:
    """Ask `weather_agent`, served by `negotiator serve two_agents:weather_agent` or any ASGI server."""
    outcome = await caller.ask("http://127.0.0.1:8000", weather, {"place": "Rome", "when": "2026-11-24"})
    print(outcome.output, outcome.tier, outcome.peer_tier, outcome.reason, outcome.usage)
