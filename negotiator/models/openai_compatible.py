"""Any endpoint that speaks OpenAI's chat completions, through the `openai` package (2.x and 3.x).

Endpoints differ in what they take. A parameter that one refuses is left out or spelled its way from then on.
"""

import asyncio
import importlib
import ipaddress
import re
import urllib.parse
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import orjson

from negotiator.clock import Clock, Deadline, SystemClock
from negotiator.errors import ModelUnavailable
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message, Usage
from negotiator.models.prices import price_of
from negotiator.models.retrying import RETRIED_STATUSES, Failure, Retrying, retry_after
from negotiator.models.schema_formats import (
    Way,
    fits_strict,
    refuses_format,
    refuses_this_schema,
    response_format,
    told_in_words,
)
from negotiator.models.scripted import rough_tokens

OPENAI_URL: Final = "https://api.openai.com/v1"
CONNECT_SECONDS: Final = 10.0
"""How long a connection may take to be made; what follows has the request's deadline alone."""
REASONING_TOKENS: Final = 8_192
"""What a reasoning model may use up beyond `max_tokens` before it says anything."""
_REASONING: Final = re.compile(r"(gpt-5|o\d)(?!.*chat)")
_NOT_TAKEN: Final = re.compile(
    r"unsupported|not supported|does not support|unknown|unrecognized|unrecognised|unexpected|not permitted|not allowed"
    r"|extra (?:field|input|param)|invalid param",
    re.IGNORECASE,
)
_SCHEMAS_REMEMBERED: Final = 256


class OpenAIModel:
    """A model at an OpenAI-compatible endpoint. One client for each event loop that uses it.

    Args:
        model: The model's name at the endpoint.
        base_url: With the version, such as `http://127.0.0.1:8080/v1`; OpenAI's own by default.
        api_key: None where the endpoint asks for none.
        name: What `Model.name` says; `openai/<model>` by default.
        clock: Where durations come from.
        random: Numbers from 0 up to 1 for the jitter of retries.
        sleep: Waits that many seconds between retries.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        name: str | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._model = model
        self._base_url = base_url or OPENAI_URL
        self._api_key = api_key
        self._name = name or f"openai/{model}"
        self._clock = clock or SystemClock()
        self._retrying = Retrying(clock=self._clock, random_number=random, sleep=sleep)
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = weakref.WeakKeyDictionary()
        self._endpoint = _Endpoint(model, own=self._base_url == OPENAI_URL)

    @property
    def name(self) -> str:
        """See `Model.name`."""
        return self._name

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,  # noqa: ARG002 - never sent
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`."""
        deadline.require()
        if self._api_key is None and self._base_url == OPENAI_URL:
            raise ModelUnavailable(f"{self._name} needs an API key: set OPENAI_API_KEY, or give api_key")
        client = await self._client()
        started = self._clock.monotonic()

        async def once() -> Any:
            while True:
                request, way = self._endpoint.request(messages, schema, max_tokens)
                try:
                    return await self._send(client, request)
                except Failure as failure:
                    if not self._endpoint.learns(failure, request, schema, way):
                        raise

        response = await self._retrying.run(self._name, once, deadline)
        return self._completion(response, messages, self._clock.monotonic() - started)

    async def aclose(self) -> None:
        """Close this event loop's client."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def _client(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            # The import takes most of a second; the loop goes on meanwhile.
            openai = await asyncio.to_thread(importlib.import_module, "openai")
            if loop not in self._clients:
                direct = {"trust_env": False} if _is_loopback(self._base_url) else {}
                self._clients[loop] = openai.AsyncOpenAI(
                    base_url=self._base_url,
                    api_key=self._api_key or "none",
                    max_retries=0,
                    timeout=openai.Timeout(None, connect=CONNECT_SECONDS),
                    http_client=openai.DefaultAsyncHttpxClient(**direct),
                )
        return self._clients[loop]

    async def _send(self, client: Any, request: JsonObject) -> Any:
        import openai  # noqa: PLC0415 - loaded by `_client`

        try:
            response = await client.chat.completions.create(**request)
        except openai.APIStatusError as error:
            raise self._failure(error) from error
        except openai.APIConnectionError as error:
            raise Failure(f"no answer from {self._base_url} ({error.__cause__ or error})", again=True) from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise Failure(f"the reply of {self._base_url} is not a chat completion", again=True) from error
        if not getattr(response, "choices", None) or getattr(response.choices[0], "message", None) is None:
            raise Failure(f"the reply of {self._base_url} holds no answer", again=True)
        return response

    def _failure(self, error: Any) -> Failure:
        status = error.status_code
        if status in (401, 403):
            return Failure(f"{self._base_url} refuses the API key (HTTP {status})", status=status)
        # A spent quota is a 429 too, and no waiting mends it.
        again = status in RETRIED_STATUSES and error.code != "insufficient_quota"
        after = retry_after(error.response.headers, self._clock) if again else None
        return Failure(f"HTTP {status}: {error.message}", again=again, after=after, status=status)

    def _completion(self, response: Any, messages: Sequence[Message], seconds: float) -> Completion:
        choice = response.choices[0]
        message = choice.message
        text = message.content if isinstance(message.content, str) else ""
        refusal = getattr(message, "refusal", None)
        if not refusal and choice.finish_reason == "content_filter":
            refusal = "the provider's content filter stopped the answer"
        spent = response.usage
        prompt_tokens = getattr(spent, "prompt_tokens", None)
        completion_tokens = getattr(spent, "completion_tokens", None)
        if not isinstance(prompt_tokens, int) or not isinstance(completion_tokens, int):
            prompt_tokens = sum(rough_tokens(asked.content) for asked in messages)
            completion_tokens = rough_tokens(text)
        return Completion(
            text="" if refusal else text,
            model=self._name,
            usage=Usage(
                calls=1,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                seconds=seconds,
                usd=price_of(self._name, prompt_tokens, completion_tokens),
            ),
            truncated=choice.finish_reason == "length",
            refusal=str(refusal) if refusal else None,
        )


class _Endpoint:
    """What one endpoint takes for one model, as far as its refusals have told."""

    def __init__(self, model: str, *, own: bool) -> None:
        self._model = model
        reasons = own and _REASONING.match(model) is not None
        self._allowance = REASONING_TOKENS if reasons else 0
        self._limit_word = "max_completion_tokens" if own else "max_tokens"
        self._extras: JsonObject = {"reasoning_effort": "low"} if reasons else {"temperature": 0}
        self._way: Way = "strict"
        self._schema_ways: dict[bytes, Way] = {}

    def request(
        self, messages: Sequence[Message], schema: JsonObject | None, max_tokens: int
    ) -> tuple[JsonObject, Way | None]:
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


def _is_loopback(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
