"""What chat completions have in common, whoever serves them: what is sent, what came, what went wrong.

Endpoints differ in what they take. A parameter that one refuses is left out, or spelled its way, from then on.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from negotiator.clock import Clock
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message, Usage
from negotiator.models.prices import price_of
from negotiator.models.retrying import RETRIED_STATUSES, Failure, retry_after
from negotiator.models.schema_formats import (
    Way,
    fits_strict,
    refuses_format,
    refuses_this_schema,
    response_format,
    told_in_words,
)
from negotiator.models.scripted import rough_tokens

REASONING_TOKENS: Final = 8_192
"""What a reasoning model may use up beyond `max_tokens` before it says anything."""
_REASONING: Final = re.compile(r"(gpt-5|o\d)(?!.*chat)")
_NOT_TAKEN: Final = re.compile(
    r"unsupported|not supported|does not support|unknown|unrecognized|unrecognised|unexpected|not permitted|not allowed"
    r"|extra (?:field|input|param)|invalid param",
    re.IGNORECASE,
)
_SCHEMAS_REMEMBERED: Final = 256


class Habits:
    """What one endpoint takes for one model, as far as its refusals have told.

    Args:
        model: The name that is sent.
        reasons: Whether it is known to reason before it answers.
    """

    def __init__(self, model: str, *, reasons: bool) -> None:
        self._model = model
        self._allowance = REASONING_TOKENS if reasons else 0
        self._limit_word = "max_completion_tokens" if reasons else "max_tokens"
        self._extras: JsonObject = {"reasoning_effort": "low"} if reasons else {"temperature": 0}
        self._way: Way = "strict"
        self._schema_ways: dict[bytes, Way] = {}

    def request(
        self, messages: Sequence[Message], schema: JsonObject | None, max_tokens: int
    ) -> tuple[JsonObject, Way | None]:
        """The arguments of a chat completion, and how it is asked to hold to `schema`."""
        way = None if schema is None else self._way_for(schema)
        if schema is not None and way == "plain":
            messages = told_in_words(messages, schema)
        request: JsonObject = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            self._limit_word: max_tokens + self._allowance,
            **self._extras,
        }
        if schema is not None and way is not None and (asked := response_format(schema, way)) is not None:
            request["response_format"] = asked
        return request, way

    def learns(self, failure: Failure, request: JsonObject, schema: JsonObject | None, way: Way | None) -> bool:
        """Whether `failure` was about a parameter that is now sent otherwise, or not at all."""
        if failure.status not in (400, 422, 501):
            return False
        message = str(failure)
        if _NOT_TAKEN.search(message):
            for word in self._extras:
                if word in request and word in message:
                    self._extras = {name: value for name, value in self._extras.items() if name != word}
                    return True
            if (
                self._limit_word in request
                and self._limit_word in message
                and self._limit_word != "max_completion_tokens"
            ):
                # Only reasoning models insist on this word.
                self._limit_word, self._allowance = "max_completion_tokens", REASONING_TOKENS
                return True
        if schema is None or way in (None, "plain") or not refuses_format(message):
            return False
        lower: Way = "loose" if way == "strict" else "plain"
        if refuses_this_schema(message):
            if len(self._schema_ways) >= _SCHEMAS_REMEMBERED:
                self._schema_ways.clear()
            self._schema_ways[_canonical(schema)] = lower
        elif way == self._way_for(schema):
            self._way = lower
        return True

    def _way_for(self, schema: JsonObject) -> Way:
        order: tuple[Way, ...] = ("strict", "loose", "plain")
        lowest = max(order.index(self._way), order.index(self._schema_ways.get(_canonical(schema), "strict")))
        if lowest == 0 and not fits_strict(schema):
            lowest = 1
        return order[lowest]


def _canonical(schema: JsonObject) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)


def is_reasoning(model: str) -> bool:
    """Whether a model of this name reasons before it answers, and takes the parameters of those that do."""
    return _REASONING.match(model.rpartition("/")[2]) is not None


def require_answer(response: Any, address: str) -> None:
    """Raises `Failure` where a reply holds no message; anything may have come."""
    choices = getattr(response, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        raise Failure(f"the reply of {address} holds no answer", again=True)


def completion_of(response: Any, messages: Sequence[Message], *, name: str, seconds: float) -> Completion:
    """A chat completion of the shape that `require_answer` requires, as ours."""
    choice = response.choices[0]
    message = choice.message
    content = getattr(message, "content", None)
    text = content if isinstance(content, str) else ""
    # litellm keeps what OpenAI alone says apart.
    elsewhere = getattr(message, "provider_specific_fields", None) or {}
    refusal = getattr(message, "refusal", None) or elsewhere.get("refusal")
    finish = getattr(choice, "finish_reason", None)
    if not refusal and finish == "content_filter":
        refusal = "the provider's content filter stopped the answer"
    spent = getattr(response, "usage", None)
    prompt_tokens = getattr(spent, "prompt_tokens", None)
    completion_tokens = getattr(spent, "completion_tokens", None)
    if not isinstance(prompt_tokens, int) or not isinstance(completion_tokens, int):
        prompt_tokens = sum(rough_tokens(asked.content) for asked in messages)
        completion_tokens = rough_tokens(text)
    return Completion(
        text="" if refusal else text,
        model=name,
        usage=Usage(
            calls=1,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            seconds=seconds,
            usd=price_of(name, prompt_tokens, completion_tokens),
        ),
        truncated=finish == "length",
        refusal=str(refusal) if refusal else None,
    )


def failure_of(error: Any, address: str, clock: Clock) -> Failure:
    """An `openai.APIStatusError`, litellm's included, as a failed attempt; never holds a part of the key."""
    status = error.status_code
    if status in (401, 403):
        return Failure(f"{address} refuses the API key (HTTP {status})", status=status)
    # A spent quota is a 429 too, and no waiting mends it.
    again = status in RETRIED_STATUSES and getattr(error, "code", None) != "insufficient_quota"
    headers = getattr(error, "litellm_response_headers", None) or error.response.headers
    after = retry_after(headers, clock) if again else None
    return Failure(f"HTTP {status}: {error.message}", again=again, after=after, status=status)
