"""Who asks, for the tools that are asked."""

from negotiator.context import current_context
from negotiator.wire import ANONYMOUS


def current_principal() -> str:
    """Whom the tool that is running was called for: `anonymous`, a DID, or `host:<name>`.

    Each request has its own, in threads too. Outside of a tool, `anonymous`.

    Example:
        ```python
        @agent.tool
        def book(room: str) -> Booking:
            return rooms.book(room, guest=current_principal())
        ```
    """
    context = current_context()
    return ANONYMOUS if context is None else context.principal
