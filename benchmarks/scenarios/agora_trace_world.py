"""The town of `agora-trace`: who offers what, in which words, and what the right answer is.

The shape is the published one of the Agora paper's experiment with 100 agents (arXiv 2410.11905, appendix D.2): 15
servers, 11 kinds of task that users have and one that servers alone ask for, 25 pairs of a server and a kind, servers
that ask other servers. Its data has no licence and is not used: names, words and answers are made here, and every
answer follows from its question, so that right and wrong can be told.

All users speak of a task in one vocabulary, as they do in the paper; each server has words of its own. The words
differ and the values do not: what has to be learned is which field is which.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Effect

Values: TypeAlias = dict[str, Any]
"""By the names of the users' vocabulary."""

_DATE: Final = {"type": "string", "format": "date"}
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_STATUS: Final = {"enum": ["done", "refused"]}
_SKIS: Final = {"enum": ["racing", "carving", "backcountry"]}
MOVIES: Final = ("The Long Thaw", "Night Ferry", "Salt and Paper")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of task, in the users' words."""

    name: str
    description: str
    effect: Effect
    takes: Mapping[str, JsonObject]
    gives: Mapping[str, JsonObject]
    optional: frozenset[str] = frozenset()
    """Of what it gives: what may be absent."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of the fields."""

    def schema(self, side: str) -> JsonObject:
        """The JSON Schema of `takes` or `gives`."""
        fields: Mapping[str, JsonObject] = getattr(self, side)
        return _object({name: (name, self.words[name]) for name in fields}, fields, self.optional)


def _object(
    named: Mapping[str, tuple[str, str]], fields: Mapping[str, JsonObject], optional: frozenset[str]
) -> JsonObject:
    return {
        "type": "object",
        "properties": {named[name][0]: {**form, "description": named[name][1]} for name, form in fields.items()},
        "required": [named[name][0] for name in fields if name not in optional],
        "additionalProperties": False,
    }


_ERROR: Final = {"status": _STATUS, "error": _TEXT}
_SAY_ERROR: Final = {"status": "whether it was done", "error": "why it was refused"}
_MAY_FAIL: Final = frozenset({"error"})

KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("query_weather", "Find out what the weather will be on a date", "safe", {"date": _DATE},
             {"temperature": {"type": "number"}, "precipitation": {"type": "number"}},
             words={"date": "the date of interest", "temperature": "degrees Celsius at noon",
                    "precipitation": "rain or snow in millimetres"}),
        Kind("book_room", "Book a hotel room from one date to another", "transactional",
             {"start_date": _DATE, "end_date": _DATE}, {**_ERROR, "room_number": _COUNT}, _MAY_FAIL,
             {**_SAY_ERROR, "start_date": "the first night", "end_date": "the day of departure",
              "room_number": "number of the room that was booked"}),
        Kind("suggest_restaurant", "Recommend a restaurant for dinner on a date", "safe", {"date": _DATE},
             {"restaurant": _TEXT}, words={"date": "the evening in question", "restaurant": "name of the restaurant"}),
        Kind("rent_ski", "Rent a pair of skis for a date", "transactional", {"date": _DATE, "type": _SKIS},
             {"status": _STATUS}, words={"date": "the day on the slopes", "type": "kind of ski", **_SAY_ERROR}),
        Kind("opening_times", "Ask for the opening times", "safe", {}, {"opening_times": _TEXT},
             words={"opening_times": "from when to when the place is open"}),
        Kind("book_table", "Reserve a table at a restaurant", "transactional",
             {"full_name": _TEXT, "people": _COUNT, "date": _DATE, "hour": {"type": "integer"}}, _ERROR, _MAY_FAIL,
             {**_SAY_ERROR, "full_name": "name of the guest", "people": "how many guests will come",
              "date": "the day of the visit", "hour": "hour of arrival, 16 to 23"}),
        Kind("order_everything", "Order one of everything on the menu, delivered", "transactional",
             {"delivery_address": _TEXT}, _ERROR, _MAY_FAIL,
             {**_SAY_ERROR, "delivery_address": "where the food goes"}),
        Kind("available_movies", "List the movies that are shown on a date", "safe", {"date": _DATE},
             {"movies": {"type": "array", "items": _TEXT}},
             words={"date": "the evening at the cinema", "movies": "titles of the movies"}),
        Kind("buy_tickets", "Buy tickets for a movie", "transactional",
             {"movie": {"enum": list(MOVIES)}, "date": _DATE, "hour": {"enum": [18, 20]}, "tickets": _COUNT},
             _ERROR, _MAY_FAIL,
             {**_SAY_ERROR, "movie": "title of the movie", "date": "the day of the screening",
              "hour": "hour at which it begins", "tickets": "number of tickets"}),
        Kind("call_taxi", "Call a taxi to an address", "transactional", {"address": _TEXT, "time": _TEXT},
             {**_ERROR, "price": {"type": "number"}}, _MAY_FAIL,
             {**_SAY_ERROR, "address": "where the passenger waits", "time": "when to be there, HH:MM",
              "price": "fare in euros"}),
        Kind("get_traffic", "Learn how dense the traffic is at a place on a date", "safe",
             {"date": _DATE, "location": _TEXT}, {"traffic": {"enum": ["light", "dense", "jammed"]}},
             words={"date": "the day of the journey", "location": "city or district", "traffic": "density of traffic"}),
        Kind("send_driver", "Have a driver fetch a meal and bring it to an address", "transactional",
             {"address": _TEXT}, {"status": _STATUS, "minutes": _COUNT},
             words={"address": "where the meal goes", "minutes": "minutes until delivery", **_SAY_ERROR}),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Nested:
    """A question that a server asks another server before it answers."""

    server: str
    kind: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of task at one server, in the server's words."""

    server: str
    kind: str
    tool: str
    description: str
    named: Mapping[str, tuple[str, str]]
    """The users' name of a field -> its name here and its description."""
    asks: tuple[Nested, ...] = ()

    def schema(self, side: str) -> JsonObject:
        """The JSON Schema of `takes` or `gives`, in the server's words."""
        kind = KINDS[self.kind]
        fields: Mapping[str, JsonObject] = getattr(kind, side)
        return _object(self.named, fields, kind.optional)

    def here(self, values: Values) -> Values:
        """From the users' words to the server's."""
        return {self.named[name][0]: value for name, value in values.items()}

    def theirs(self, values: Values) -> Values:
        """From the server's words to the users'."""
        back = {mine: name for name, (mine, _) in self.named.items()}
        return {back[name]: value for name, value in values.items()}


def _offer(server: str, kind: str, tool: str, description: str, named: str, *asks: tuple[str, str]) -> Offer:
    """`named`: lines of `the users' name = the name here: description`."""
    fields: dict[str, tuple[str, str]] = {}
    for line in named.strip().splitlines():
        name, _, rest = line.strip().partition("=")
        mine, _, described = rest.partition(":")
        fields[name.strip()] = (mine.strip(), described.strip())
    return Offer(server, kind, tool, description, fields, tuple(Nested(*each) for each in asks))


OFFERS: Final = (
    _offer("weather", "query_weather", "forecast", "Weather forecast for a day", """
           date = day: the day of the forecast
           temperature = celsius: temperature in degrees Celsius
           precipitation = rain_mm: expected rain or snow, millimetres"""),
    _offer("hotel1", "book_room", "reserve_room", "Reserve a room for some nights", """
           start_date = check_in: day of arrival
           end_date = check_out: day of departure
           status = outcome: whether the room is reserved
           room_number = room: number of the room
           error = problem: why no room is reserved"""),
    _offer("hotel1", "suggest_restaurant", "dinner_tip", "Where our guests like to dine", """
           date = evening: the evening of the dinner
           restaurant = place: name of a restaurant"""),
    _offer("hotel2", "book_room", "new_stay", "Enter a stay in the house's calendar", """
           start_date = from_date: first night of the stay
           end_date = until_date: day on which the guest leaves
           status = state: whether the stay is entered
           room_number = room_id: the room of the stay
           error = reason: what speaks against the stay"""),
    _offer("hotel2", "suggest_restaurant", "eat_out", "A recommendation for dinner in town", """
           date = on: date of the dinner
           restaurant = recommended: the restaurant that is recommended"""),
    _offer("hotel3", "book_room", "book_stay", "Book a stay at the hotel", """
           start_date = arrival: date of arrival
           end_date = departure: date of departure
           status = booking_status: whether it is booked
           room_number = room_no: number of the booked room
           error = message: error message"""),
    _offer("hotel3", "suggest_restaurant", "concierge", "The concierge names a restaurant that is open", """
           date = date: the date of the visit
           restaurant = suggestion: the restaurant to go to""", ("restaurant1", "opening_times")),
    _offer("ski_resort1", "rent_ski", "hire_skis", "Hire skis at the resort", """
           date = rental_date: day of the rental
           type = ski_type: type of ski
           status = rental: whether the skis are hired""", ("weather", "query_weather")),
    _offer("ski_resort2", "rent_ski", "lend_equipment", "Lend equipment for a day on the slopes", """
           date = when: the day
           type = model: which skis
           status = result: whether it is lent""",
           ("weather", "query_weather"), ("restaurant3", "opening_times")),
    _offer("ski_resort2", "opening_times", "lift_hours", "When the lifts run", """
           opening_times = hours: from when to when the lifts run"""),
    _offer("restaurant1", "book_table", "table", "Reserve a table for guests", """
           full_name = guest: name of the guest
           people = party_size: number of guests
           date = day: the day of the meal
           hour = at: hour of the meal
           status = reserved: whether the table is reserved
           error = remark: why it is not reserved"""),
    _offer("restaurant1", "opening_times", "is_open", "When the restaurant is open", """
           opening_times = open: opening hours"""),
    _offer("restaurant1", "order_everything", "deliver_menu", "Deliver the whole menu to a customer", """
           delivery_address = address: address of the customer
           status = order_status: whether the order is taken
           error = problem: why the order is not taken""", ("delivery", "send_driver")),
    _offer("restaurant2", "book_table", "make_reservation", "Make a reservation in the dining room", """
           full_name = name: full name of the person who reserves
           people = seats: how many seats
           date = reservation_date: date of the reservation
           hour = reservation_hour: hour of the reservation
           status = confirmation: whether the reservation stands
           error = objection: what speaks against it"""),
    _offer("restaurant2", "opening_times", "business_hours", "Business hours of the dining room", """
           opening_times = business_hours: from when to when"""),
    _offer("restaurant2", "order_everything", "order_all", "Take an order for all dishes", """
           delivery_address = destination: address for the delivery
           status = accepted: whether the order is accepted
           error = cause: why it is not accepted""", ("delivery", "send_driver")),
    _offer("restaurant3", "book_table", "seat_party", "Seat a party at a table", """
           full_name = booked_for: the person in whose name it is
           people = covers: number of covers
           date = service_date: date of the service
           hour = service_hour: hour of the service
           status = seating: whether they can be seated
           error = note: what stands in the way"""),
    _offer("restaurant3", "opening_times", "open_hours", "Hours in which guests are served", """
           opening_times = served: hours of service"""),
    _offer("cinema1", "available_movies", "programme", "The programme of a day", """
           date = screening_day: the day of the programme
           movies = films: films on the programme"""),
    _offer("cinema1", "buy_tickets", "sell_seats", "Sell seats for a film", """
           movie = film: the film
           date = screening_day: day of the screening
           hour = starts: hour at which the screening starts
           tickets = seats: number of seats
           status = sale: whether the seats are sold
           error = problem: why they are not sold"""),
    _offer("cinema2", "available_movies", "now_showing", "What is shown on a date", """
           date = show_date: date of the shows
           movies = titles: titles of the shows"""),
    _offer("cinema2", "buy_tickets", "checkout", "Check out tickets for a show", """
           movie = title: title of the show
           date = show_date: date of the show
           hour = show_hour: hour of the show
           tickets = quantity: quantity of tickets
           status = order: whether the tickets are issued
           error = failure: why they are not issued"""),
    _offer("taxi1", "call_taxi", "dispatch", "Dispatch a cab to a passenger", """
           address = pickup: address at which the passenger waits
           time = pickup_time: time of the pickup
           status = dispatched: whether a cab comes
           price = fare: fare in euros
           error = reason: why no cab comes""", ("traffic", "get_traffic")),
    _offer("taxi2", "call_taxi", "order_cab", "Order a cab", """
           address = street: street and number
           time = at: time at which the cab comes
           status = cab: whether a cab is ordered
           price = cost: cost of the ride in euros
           error = excuse: why none is ordered""", ("traffic", "get_traffic"), ("weather", "query_weather")),
    _offer("traffic", "get_traffic", "road_report", "Report of the roads in a district", """
           date = travel_date: date of travel
           location = district: city or district
           traffic = density: density of the traffic"""),
    _offer("delivery", "send_driver", "courier", "Send a courier with a meal", """
           address = drop_off: address at which the meal is handed over
           status = assigned: whether a courier is assigned
           minutes = eta: estimated minutes until the meal is there""", ("traffic", "get_traffic")),
)  # fmt: skip

BY_PLACE: Final = {(offer.server, offer.kind): offer for offer in OFFERS}
USER_KINDS: Final = tuple(name for name in KINDS if name != "send_driver")
SERVERS: Final = tuple(dict.fromkeys(offer.server for offer in OFFERS))
MODELS: Final = ("gpt-4o", "llama-3-405b", "gemini-1.5-pro")
SERVER_MODELS: Final = {
    "hotel2": "llama-3-405b", "ski_resort2": "llama-3-405b", "restaurant1": "llama-3-405b", "taxi2": "llama-3-405b",
    "cinema2": "gemini-1.5-pro", "taxi1": "gemini-1.5-pro",
}  # fmt: skip
"""The rest are gpt-4o: 9, 4 and 2, as published."""


def nested_input(nested: Nested, values: Values) -> Values:
    """What a server asks another, given what it was asked itself."""
    match nested.kind:
        case "query_weather":
            return {"date": values.get("date", "2026-12-01")}
        case "get_traffic":
            return {"date": values.get("date", "2026-12-01"), "location": _town(values["address"])}
        case "send_driver":
            return {"address": values["delivery_address"]}
        case _:
            return {}


def _town(address: str) -> str:
    return address.rsplit(", ", 1)[-1]


def result(offer: Offer, values: Values, answers: tuple[Values, ...]) -> Values:
    """What the server answers, in the users' words; `answers` are those of the servers it asked."""
    lot = _lot(offer.server, offer.kind, values)
    refused = lot % 9 == 0 or any(each.get("status") == "refused" for each in answers)
    status: Values = (
        {"status": "refused", "error": f"not possible today ({lot % 97})"} if refused else {"status": "done"}
    )
    match offer.kind:
        case "query_weather":
            return {"temperature": lot % 45 - 15.5, "precipitation": lot // 45 % 30}
        case "book_room":
            return {**status, "room_number": 0 if refused else 100 + lot % 400}
        case "suggest_restaurant":
            names = ("Blue Door", "Harbour Grill", "The Walnut", "Stone Oven")
            return {"restaurant": names[lot % 4] + (" (open)" if answers else "")}
        case "rent_ski":
            warm = any(each.get("temperature", 0) > 20 for each in answers)
            return {"status": "refused" if refused or warm else "done"}
        case "opening_times":
            return {"opening_times": f"{8 + lot % 4}:00-{18 + lot % 5}:00"}
        case "available_movies":
            return {"movies": [title for at, title in enumerate(MOVIES) if lot >> at & 1] or [MOVIES[lot % 3]]}
        case "call_taxi":
            jammed = any(each.get("traffic") == "jammed" for each in answers)
            return {**status, "price": 0 if refused else 8 + lot % 30 + (5.5 if jammed else 0)}
        case "get_traffic":
            return {"traffic": ("light", "dense", "jammed")[lot % 3]}
        case "send_driver":
            slow = any(each.get("traffic") == "jammed" for each in answers)
            return {"status": status["status"], "minutes": 15 + lot % 20 + (20 if slow else 0)}
        case _:
            return status


def expected(server: str, kind: str, values: Values) -> Values:
    """The right answer, in the users' words."""
    offer = BY_PLACE[server, kind]
    answers = tuple(expected(each.server, each.kind, nested_input(each, values)) for each in offer.asks)
    return result(offer, values, answers)


def effects(server: str, kind: str, values: Values) -> list[tuple[str, str, str]]:
    """The transactional calls that a right answer makes, nested ones included: (server, kind, input)."""
    offer = BY_PLACE[server, kind]
    made = [one for each in offer.asks for one in effects(each.server, each.kind, nested_input(each, values))]
    if KINDS[kind].effect == "transactional":
        made.append((server, kind, written(values)))
    return made


def written(values: JsonValue) -> str:
    """A value as text, whatever the order of its members."""
    if isinstance(values, dict):
        return "{" + ",".join(f"{name}={written(values[name])}" for name in sorted(values)) + "}"
    return repr(values)


def _lot(*about: object) -> int:
    text = "/".join(written(each) for each in about)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
