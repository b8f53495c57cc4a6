"""Response caches before an agent, as they are sold beside language models: exact and semantic.

Both are given the best case: one cache for all users, no expiry, answers that do not change with time, and safe tasks
only, since a cached answer to a transactional one has done nothing.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from negotiator.jsonvalue import JsonValue

THRESHOLD: Final = 0.9
"""Cosine from which two requests are one to the semantic cache; GPTCache's own default is 0.8."""


@dataclass(slots=True)
class ExactCache:
    """The same request of the same server gets the same answer."""

    kept: dict[tuple[str, str], JsonValue] = field(default_factory=dict)

    def get(self, server: str, text: str) -> JsonValue:
        """The answer that was kept; None where there is none."""
        return self.kept.get((server, text))

    def put(self, server: str, text: str, answer: JsonValue) -> None:
        """Keep an answer."""
        self.kept[server, text] = answer


@dataclass(slots=True)
class SemanticCache:
    """A request that looks like an earlier one of the same server gets its answer.

    Likeness is the cosine of counts of words and of three letters in a row: a stand-in for an embedding, which errs
    the same way where two requests differ in a date alone.
    """

    threshold: float = THRESHOLD
    kept: dict[str, list[tuple[Counter[str], float, JsonValue]]] = field(default_factory=dict)

    def get(self, server: str, text: str) -> JsonValue:
        """The answer to the likest request; None where none is like enough."""
        wanted = _vector(text)
        size = _size(wanted)
        best, answer = 0.0, None
        for vector, length, kept in self.kept.get(server, []):
            common = sum(count * vector[part] for part, count in wanted.items() if part in vector)
            likeness = common / (size * length) if size and length else 0.0
            if likeness > best:
                best, answer = likeness, kept
        return answer if best >= self.threshold else None

    def put(self, server: str, text: str, answer: JsonValue) -> None:
        """Keep an answer."""
        vector = _vector(text)
        self.kept.setdefault(server, []).append((vector, _size(vector), answer))


def _vector(text: str) -> Counter[str]:
    words = re.findall(r"\w+", text.lower())
    parts = Counter(words)
    for word in words:
        parts.update(word[at : at + 3] for at in range(len(word) - 2))
    return parts


def _size(vector: Counter[str]) -> float:
    return math.sqrt(sum(count * count for count in vector.values()))
