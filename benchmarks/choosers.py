"""Which of some described things does a sentence mean? Each way is code that agents run, on the same question.

`rules` compare words, as a receiver does before it asks its model; `search` is the index that documents are found with,
with and without embeddings; `model` is the question that a receiver puts to its model, alone and after the rules.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from negotiator import Agent
from negotiator.choosing import CLEAR_LEAD, LEAST_LIKENESS, intended_tool, rank
from negotiator.clock import Deadline, SystemClock
from negotiator.engine import Engine
from negotiator.errors import ModelError
from negotiator.interpret import Interpreter
from negotiator.ledger import Account
from negotiator.models.base import Model
from negotiator.negotiation import Intent
from protocol_docs import DocumentStore, Embedder, MemoryTextStore, SearchIndex
from protocol_docs.document import render_document

NEAREST: Final = 5
"""Labelled sentences that have a vote; where two labels have as many, the nearest one counts."""
_CALL_SECONDS: Final = 600.0

Choose: TypeAlias = Callable[[str], Awaitable[str | None]]
"""From a sentence to the name of what it means; None for nothing of it."""


@dataclass(frozen=True, slots=True)
class Offered:
    """One of the things to choose from."""

    name: str
    description: str


class Receiver:
    """An agent that offers each of them as a tool, and what it makes of a sentence."""

    def __init__(self, offered: Iterable[Offered], model: Model | None = None) -> None:
        self.account = Account()
        """What its model was asked for by `by_model`."""
        self._agent = Agent(model, name="receiver", state="memory")
        for each in offered:
            self._agent.tool(effect="safe", name=each.name, description=each.description)(_nothing)

    @property
    def engine(self) -> Engine:
        """Its engine."""
        return self._agent.engine

    async def aclose(self) -> None:
        """Close it; the model stays."""
        await self._agent.aclose()

    async def by_rules(self, text: str) -> str | None:
        """As a receiver chooses: by words, and by its model, if it has one, where words leave it open."""
        tool = await intended_tool(self.engine, _intent(text), self._deadline())
        return None if tool is None else tool.name

    async def where_clear(self, text: str) -> str | None:
        """By words alone, and nothing where they leave it open."""
        ranked = rank(_intent(text), list(self.engine.tools.values()))
        (best, lead), runner_up = ranked[0], ranked[1][1] if len(ranked) > 1 else 0.0
        return best.name if lead >= LEAST_LIKENESS and lead >= CLEAR_LEAD * runner_up else None

    async def by_model(self, text: str) -> str | None:
        """The model alone, asked as a receiver asks it."""
        interpreter = Interpreter(self.engine.model, self.account, self._deadline())
        try:
            tool = await interpreter.choose_tool(text, self.engine.tools)
        except ModelError:
            return None
        return None if tool is None else tool.name

    def _deadline(self) -> Deadline:
        return Deadline.after(_CALL_SECONDS, SystemClock())


def by_search(offered: Iterable[Offered], embedder: Embedder | None = None) -> Choose:
    """The first that the index finds; with an embedder, by words and vectors together."""
    return _nearest([(each.name, each.name, each.description) for each in offered], 1, embedder)


def by_labelled(labelled: Sequence[tuple[str, str]], embedder: Embedder | None = None) -> Choose:
    """By a vote of the labelled sentences (text, label) that the index finds nearest."""
    return _nearest([(label, "request", text) for text, label in labelled], NEAREST, embedder)


def _nearest(rows: Sequence[tuple[str, str, str]], votes: int, embedder: Embedder | None) -> Choose:
    store = DocumentStore(MemoryTextStore(), index=SearchIndex(embedder=embedder))
    names: dict[str, str] = {}
    for label, name, text in rows:
        document = render_document(name=name, description=text, body=text, annex=None)
        names[document.hash] = label
        store.put(document)
    store.index_all(embed=len(rows))

    async def choose(text: str) -> str | None:
        found = [names[name] for name, _ in store.find(text, votes)]
        # Counter keeps the order of first sight among equals: the nearest one's label.
        return Counter(found).most_common(1)[0][0] if found else None

    return choose


def _intent(text: str) -> Intent:
    return Intent(name=text[:200] or "?", description=text[:4_000])


def _nothing() -> None:
    """The tools are never called."""
