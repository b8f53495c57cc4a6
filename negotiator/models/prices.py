"""What hosted models cost: a table frozen on a day, so that a report says the same tomorrow.

List prices for uncached text, without batch discounts or tiers by length. What a provider charges is on its bill.
"""

from typing import Final

PRICES_AS_OF: Final = "2026-10-21"
"""The day of the source: `model_prices_and_context_window_backup.json` as shipped in litellm 1.106.2."""

USD_PER_MILLION: Final[dict[str, tuple[float, float]]] = {
    "claude-haiku-4-5": (1.00, 5.00),
    "claude-haiku-5-5": (0.10, 0.50),
    "claude-opus-4-5": (5.00, 25.00),
    "claude-opus-4-6": (5.00, 25.00),
    "claude-opus-4-7": (5.00, 25.00),
    "claude-opus-4-8": (5.00, 25.00),
    "claude-opus-5": (5.00, 25.00),
    "claude-opus-5-5": (4.00, 20.00),
    "claude-sonnet-4-5": (3.00, 15.00),
    "claude-sonnet-4-6": (3.00, 15.00),
    "claude-sonnet-5": (2.00, 10.00),
    "claude-sonnet-5-5": (2.00, 10.00),
    "deepseek-chat": (0.28, 0.42),
    "deepseek-reasoner": (0.28, 0.42),
    "deepseek-v4-flash": (0.30, 1.20),
    "deepseek-v4-pro": (1.32, 3.96),
    "gemini-2.5-flash": (0.30, 2.50),
    "gemini-2.5-flash-lite": (0.10, 0.40),
    "gemini-2.5-pro": (1.25, 10.00),
    "gemini-3.1-flash-lite": (0.25, 1.50),
    "gemini-3.5-flash": (1.50, 9.00),
    "gemini-3.5-flash-lite": (0.30, 2.50),
    "gemini-3.8-flash": (0.75, 3.75),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-5": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5-nano": (0.05, 0.40),
    "gpt-5.1": (1.25, 10.00),
    "gpt-5.2": (1.75, 14.00),
    "gpt-5.4": (2.50, 15.00),
    "gpt-5.4-mini": (0.75, 4.50),
    "gpt-5.4-nano": (0.20, 1.25),
    "gpt-5.5": (5.00, 30.00),
    "gpt-5.6": (4.00, 20.00),
    "gpt-5.6-luna": (0.20, 1.20),
    "gpt-5.6-terra": (2.00, 12.00),
    "grok-4.5": (2.00, 6.00),
    "grok-4.7": (2.00, 6.00),
    "mistral-large-3": (0.50, 1.50),
    "mistral-medium": (1.50, 7.50),
    "mistral-small": (0.10, 0.30),
    "o3": (2.00, 8.00),
    "o3-mini": (1.10, 4.40),
    "o4-mini": (1.10, 4.40),
    # What the demonstration of arXiv 2410.11905 counted with, in 2024; for comparison with its figures only.
    "gpt-4o@agora-2024": (5.00, 15.00),
}
"""Model -> USD per million (prompt tokens, completion tokens)."""

FREE_PROVIDERS: Final = frozenset({"local", "none", "scripted"})
"""Providers that send no bill. Their seconds still count: see the cost policy."""


def price_of(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """What a call cost, in USD; None where the table has no price for `model`.

    `model` is a name as in `Model.name`: providers before the last slash (`openai/`, `litellm/anthropic/`) and a
    date after the model's name (`-2025-08-07`, `-20250929`) do not matter.
    """
    providers, _, bare = model.rpartition("/")
    if bare in FREE_PROVIDERS or providers.partition("/")[0] in FREE_PROVIDERS:
        return 0.0
    rate = USD_PER_MILLION.get(bare) or USD_PER_MILLION.get(_undated(bare))
    if rate is None:
        return None
    return (prompt_tokens * rate[0] + completion_tokens * rate[1]) / 1_000_000


def _undated(model: str) -> str:
    head, dash, tail = model.rpartition("-")
    if dash and len(tail) == len("20250929") and tail.isdigit():
        return head
    parts = model.rsplit("-", 3)
    if len(parts) == 4 and [len(part) for part in parts[1:]] == [4, 2, 2] and "".join(parts[1:]).isdigit():  # noqa: PLR2004
        return parts[0]
    return model
