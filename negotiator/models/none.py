"""No model: rules and schemas alone."""

from collections.abc import Sequence

from negotiator.clock import Deadline
from negotiator.errors import ModelUnavailable
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message


class NoModel:
    """Stands where a model would. Ask `is_none` before building a prompt for it."""

    name = "none"

    async def complete(
        self,
        messages: Sequence[Message],  # noqa: ARG002 - the port's signature
        *,
        purpose: str,
        schema: JsonObject | None = None,  # noqa: ARG002
        max_tokens: int = 1024,  # noqa: ARG002
        deadline: Deadline,  # noqa: ARG002
    ) -> Completion:
        """Raises `ModelUnavailable`, always."""
        raise ModelUnavailable(f"there is no model to ask for {purpose}: this agent was given none")

    async def aclose(self) -> None:
        """See `Model.aclose`; there is nothing to release."""


def is_none(model: object) -> bool:
    """Whether `model` can never answer, so that what needs a model need not be tried."""
    return isinstance(model, NoModel)
