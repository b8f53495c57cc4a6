"""One thing that an agent wants of another, with recorded calls: what two agents can agree on, and be judged by.

The asker's words and the server's differ, or are the same; the gold renaming between them is known here and to the
scripted model, and to no agent.
"""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.scenarios.mutations import as_code, right
from benchmarks.scenarios.sgdx_data import Pair, load_pairs
from negotiator import Task
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Effect
from negotiator.models.base import Message
from negotiator.models.scripted import ScriptedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call, in the words of both sides."""

    asked: JsonObject
    """What the asker asks."""
    arguments: JsonObject
    """What the server's tool has to be given."""
    result: JsonValue
    """What the tool gives."""
    answer: JsonValue
    """What the asker has to get."""


_ALL: Final = 100_000


def as_given(arguments: JsonObject) -> str:
    """A call as text, for comparing."""
    return json.dumps(arguments, sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A tool of the server's."""

    name: str
    description: str
    takes: JsonObject
    gives: JsonObject
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A task, the tool that does it, and calls."""

    name: str
    task: Task
    offer: Offer
    build: tuple[Exchange, ...]
    """Calls that routines are verified on."""
    held_out: tuple[Exchange, ...]
    """Others, that they are judged by."""
    others: tuple[Offer, ...] = ()
    """What the server offers besides, which does not do it."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Gold: the server's name for a field -> the asker's; fields that are not in it have one name."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Gold: what a model would have to write for a document without schemas, by the purpose of the question."""
    meant: Callable[[JsonObject], str] = as_given
    """A call as text: two calls that mean the same have the same text."""


def of_pair(pair: Pair, *, build: int, variant: int, besides: Sequence[Pair] = ()) -> Errand:
    """The errand of an SGD pair: its first `build` calls for building, and the rest held out.

    `besides` are others of the same service.
    """
    exchanges = tuple(
        Exchange(
            asked=pair.ask(call),
            arguments=call["parameters"],
            result={"results": call["results"][: pair.gives["properties"]["results"]["maxItems"]]},
            answer=pair.expected(call),
        )
        for call in pair.calls
    )
    program = right(pair)
    offer = _offer(pair)
    _, _, sender = as_code(program, "sender")
    return Errand(
        name=f"{pair.service} {pair.method} v{variant}",
        task=Task(pair.client_description, input=pair.client_takes, output=pair.client_gives, effect=offer.effect),
        offer=offer,
        others=tuple(map(_offer, besides)),
        build=exchanges[:build],
        held_out=exchanges[build:],
        names=pair.names,
        code={"write_sender": sender, "write_receiver": _PASSING_ON.format(tool=pair.method)},
        meant=pair.meant,
    )


def _offer(pair: Pair) -> Offer:
    return Offer(
        name=pair.method,
        description=pair.description,
        takes=pair.takes,
        gives=pair.gives,
        effect="transactional" if pair.transactional else "safe",
    )


def sgd_errands(
    directory: Path, *, variants: Sequence[int], count: int, build: int, held_out: int, seed: int
) -> list[Errand]:
    """`count` errands of a split, as many of each vocabulary as can be, drawn by the seed.

    Of a vocabulary every (service, method) with enough recorded calls may be drawn, services taking turns. A server
    offers all of those of its service.
    """
    found: list[Errand] = []
    shares = [count // len(variants) + (at < count % len(variants)) for at in range(len(variants))]
    for variant, wanted in zip(variants, shares, strict=True):
        pairs = load_pairs(directory, variant=variant, pairs=_ALL, requests=build + held_out, seed=seed + variant)
        for pair in pairs[:wanted]:
            besides = [each for each in pairs if each.service == pair.service and each is not pair]
            found.append(of_pair(pair, build=build, variant=variant, besides=besides))
    random.Random(seed).shuffle(found)
    return found


class Gold:
    """The scripted model: it answers every question about the errand at hand rightly, from the gold renaming.

    It stands in for a model that always understands. What goes wrong is then the doing of what asked it.
    """

    def __init__(self) -> None:
        self.errand: Errand | None = None
        self.exchange: Exchange | None = None
        """The call at hand."""
        fields = dict.fromkeys(("pair_fields", "choose_fields"), self._fields)
        self.model = ScriptedModel(
            {
                **fields,
                "write_fields": self._write_fields,
                "write_sender": lambda *_: _fenced(self._at.code["write_sender"]),
                "write_receiver": lambda *_: _fenced(self._at.code["write_receiver"]),
                "choose_tool": lambda *_: {"tool": self._at.offer.name},
                "plan": _plan,
                "read_request": lambda *_: {"answer": self._call.arguments},
                "write_request": lambda *_: json.dumps(self._call.arguments),
                "read_reply": lambda *_: {"answer": self._call.answer},
                "write_reply": lambda *_: json.dumps(self._call.result),
            }
        )

    @property
    def _at(self) -> Errand:
        assert self.errand is not None  # noqa: S101 - set before anybody asks
        return self.errand

    @property
    def _call(self) -> Exchange:
        assert self.exchange is not None  # noqa: S101
        return self.exchange

    def _fields(self, _messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
        """For each field that the answer's schema names, its counterpart among the values that are allowed."""
        options: dict[str, list[str]] = {
            name: part["enum"] for name, part in (schema or {}).get("properties", {}).items()
        }
        names = dict(self._at.names)
        back = {theirs: ours for ours, theirs in names.items()}
        # Which side is asked about which is told by whose names can be answered with at all.
        fitting = max(
            (names, back),
            key=lambda way: sum(_counterpart(way, name, part) is not None for name, part in options.items()),
        )
        return {name: _counterpart(fitting, name, part) or _nothing(part) for name, part in options.items()}

    def _write_fields(self, messages: Sequence[Message], _schema: JsonObject | None) -> str:
        """The function that the prompt asks for: it copies each field from its counterpart, row by row in lists."""
        text = messages[1].content
        named = re.search(r"^def (\w+)\(", text, re.MULTILINE)
        given, _, rest = text.partition("\nSource fields:\n")[2].partition("\nTarget fields to return:\n")
        wanted = re.findall(r"^- (\w+) \(", rest.partition("\n\n")[0], re.MULTILINE)
        read = set(re.findall(r"^ *- (\w+) \(", given, re.MULTILINE))
        names = dict(self._at.names)
        back = {theirs: ours for ours, theirs in names.items()}
        way = max((names, back), key=lambda one: len(read & one.keys()))
        name = "" if named is None else named[1]
        return _fenced(_COPYING.format(name=name, names=way, wanted=wanted))


_COPYING: Final = """\
def {name}(source: dict) -> dict:
    names = {names!r}
    made = {{}}
    for field, value in source.items():
        if isinstance(value, list):
            value = [{{names.get(key, key): each[key] for key in each}} for each in value]
        made[names.get(field, field)] = value
    return {{key: made[key] for key in {wanted!r} if key in made}}
"""


_PASSING_ON: Final = """\
def handle(request):
    return {tool}(**request)
"""
"""Under a document in the server's own words."""


def _fenced(code: str) -> str:
    return f"```python\n{code}```"


def _plan(_messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
    hashes: list[str] = (schema or {})["properties"]["protocol_hash"]["enum"]
    return {"tier": "structured", "protocol_hash": hashes[0], "reason": "it is about the task"}


_LAST: Final = re.compile(r"[^./ \[\]]+")


def _last(label: str) -> str:
    return [label, *_LAST.findall(label)][-1]


def _counterpart(names: Mapping[str, str], label: str, allowed: Sequence[str]) -> str | None:
    meant = names.get(_last(label), _last(label))
    return next((one for one in allowed if _last(one) == meant), None)


def _nothing(allowed: Sequence[str]) -> str:
    return "none" if "none" in allowed else allowed[-1]
