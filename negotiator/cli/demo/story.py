"""What the two agents of the demo are about: one's tool, the other's task, and what the right answer is.

They say the same in different words: another name for every field, another unit, another way to write a date. The
names and the unit are decided by rule; the date is free text, so that the caller's routine needs code.
"""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from pydantic import BaseModel, Field

from negotiator.task import Task

if TYPE_CHECKING:
    from negotiator.agent import Agent

Sky = Literal["clear", "cloudy", "rain", "snow"]
_SKIES: Final[tuple[Sky, ...]] = ("clear", "cloudy", "rain")

DESCRIPTION: Final = "Weather forecast for a place and a date"
_PLACES: Final = ("Rome", "Oslo", "Lima", "Cairo", "Kyoto", "Quito", "Turin", "Accra", "Perth", "Sofia")
_FIRST_DAY: Final = date(2026, 11, 24)


class Forecast(BaseModel):
    """The receiver's words for a forecast."""

    celsius: float = Field(description="Highest temperature of the day in degrees Celsius")
    sky: Sky = Field(description="What the sky is like")


class PlaceAndDate(BaseModel):
    """The caller's words for what it wants to know."""

    place: str = Field(description="A city")
    when: str = Field(
        description="The date in words: day, month and year", examples=["24 Nov 2026"], min_length=10, max_length=11
    )


class Weather(BaseModel):
    """The caller's words for the answer."""

    temperature_f: float = Field(description="Highest temperature of the day in degrees Fahrenheit")
    conditions: Sky = Field(description="Condition of the sky")


class CityAndDay(TypedDict):
    """What the caller asks with where both sides use the same words."""

    city: str
    day: date


def forecast(city: str, day: date) -> Forecast:
    """Weather forecast for a city on a day."""
    seed = day.toordinal() + sum(map(ord, city))
    celsius = 5.0 * (seed % 8) - 5.0
    return Forecast(celsius=celsius, sky="snow" if celsius <= 0 else _SKIES[seed % len(_SKIES)])


def offer(agent: "Agent") -> None:
    """Give the receiver its tool."""
    agent.tool(effect="safe")(forecast)


def task(*, same_words: bool) -> Task:
    """The caller's task: in words of its own, or in the receiver's."""
    if same_words:
        return Task(DESCRIPTION, input=CityAndDay, output=Forecast, effect="safe")
    return Task(DESCRIPTION, input=PlaceAndDate, output=Weather, effect="safe")


def request(number: int, *, same_words: bool) -> dict[str, Any]:
    """Input number 0 is the one that is asked again and again; the others differ from it and from each other."""
    city = _PLACES[number % len(_PLACES)]
    day = _FIRST_DAY + timedelta(days=3 * number)
    if same_words:
        return {"city": city, "day": day.isoformat()}
    return {"place": city, "when": f"{day.day} {day:%b} {day.year}"}


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """The right output for an input, worked out without any agent."""
    if "city" in asked:
        return forecast(asked["city"], date.fromisoformat(asked["day"])).model_dump(mode="json")
    day = datetime.strptime(asked["when"], "%d %b %Y").date()  # noqa: DTZ007 - a day has no zone
    found = forecast(asked["place"], day)
    return {"temperature_f": found.celsius * 9 / 5 + 32, "conditions": found.sky}
