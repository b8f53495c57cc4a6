"""The port to a language model, and what a call to it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from negotiator.clock import Deadline
from negotiator.jsonvalue import JsonObject


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one or more model calls took. Adds up with `+`."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Time spent waiting for the model."""
    usd: float | None = 0.0
    """None where no price is known; a sum with an unknown part is unknown."""

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            seconds=self.seconds + other.seconds,
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model said."""

    text: str
    """As it came: with a schema, JSON text that is not yet checked."""
    model: str
    """The name of the model that answered, such as `openai/gpt-5-mini`."""
    usage: Usage = field(default_factory=Usage)
    truncated: bool = False
    """Whether it stopped at `max_tokens`."""
    refusal: str | None = None
    """What the provider says where it declined to answer; `text` is empty then."""


@runtime_checkable
class Model(Protocol):
    """A language model. Stateless; safe to call from several tasks at once."""

    @property
    def name(self) -> str:
        """Provider and model, such as `openai/gpt-5-mini`, `local/qwen2.5-coder-1.5b-instruct`, `scripted`."""
        ...

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """Answer `messages`; with a JSON `schema`, in JSON that the provider holds to it where it can.

        `purpose` is a short word for the ledger and for scripts (`decode_reply`, `write_handler`); it is never
        sent. Raises `ModelUnavailable`, and `DeadlinePassed` at the deadline.
        """
        ...

    async def aclose(self) -> None:
        """Release what it holds; a shared local server is only let go of."""
        ...
