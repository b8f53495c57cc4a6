import asyncio
from datetime import date

from pydantic import BaseModel

from negotiator import Agent, Task

# One agent offers a function.


class Forecast(BaseModel):
    high: float
    summary: str


weather_agent = Agent(model="local", publish="agreed")


@weather_agent.tool(effect="safe")
def forecast(city: str, day: date) -> Forecast:
    """Weather forecast for a city on a day."""
    return Forecast(high=21.0, summary=f"sunny in {city} on {day:%d %B}")


# The other, written elsewhere, wants to know something, in words of its own.


class PlaceAndDate(BaseModel):
    place: str
    when: date


class Weather(BaseModel):
    high: float
    conditions: str


caller = Agent(model="openai/gpt-5-mini")
weather = Task("Weather forecast for a place and a date", input=PlaceAndDate, output=Weather, effect="safe")


async def main() -> None:
    """Ask `weather_agent`, served by `negotiator serve two_agents:weather_agent` or any ASGI server."""
    async with caller:
        for day in range(1, 8):
            outcome = await caller.ask("http://127.0.0.1:8000", weather, {"place": "Rome", "when": date(2026, 11, day)})
            print(outcome.tier, outcome.peer_tier, outcome.usage.calls, outcome.output, outcome.reason)
            await caller.settle()  # what a request has taught is learned beside it; wait here, to see it used at once


if __name__ == "__main__":
    asyncio.run(main())
