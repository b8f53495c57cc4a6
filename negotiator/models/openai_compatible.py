"""Any endpoint that speaks OpenAI's chat completions, through the `openai` package (2.x and 3.x).

Endpoints differ in what they take. A parameter that one refuses is left out or spelled its way from then on.
"""

import asyncio
import importlib
import urllib.parse
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from negotiator.clock import Clock, Deadline, SystemClock
from negotiator.errors import ModelUnavailable
from negotiator.jsonvalue import JsonObject
from negotiator.loopback import is_loopback
from negotiator.models.base import Completion, Message
from negotiator.models.chat import Habits, completion_of, failure_of, is_reasoning, require_answer
from negotiator.models.retrying import Failure, Retrying, by_deadline

OPENAI_URL: Final = "https://api.openai.com/v1"
CONNECT_SECONDS: Final = 10.0
"""How long a connection may take to be made; what follows has the request's deadline alone."""


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
        self._habits = Habits(model, reasons=self._base_url == OPENAI_URL and is_reasoning(model))

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
        client = await by_deadline(deadline, self._client)
        started = self._clock.monotonic()

        async def once() -> Any:
            while True:
                request, way = self._habits.request(messages, schema, max_tokens)
                try:
                    return await self._send(client, request)
                except Failure as failure:
                    if not self._habits.learns(failure, request, schema, way):
                        raise

        response = await self._retrying.run(self._name, once, deadline)
        return completion_of(response, messages, name=self._name, seconds=self._clock.monotonic() - started)

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
                direct = (
                    {"trust_env": False} if is_loopback(urllib.parse.urlsplit(self._base_url).hostname or "") else {}
                )
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
            raise failure_of(error, self._base_url, self._clock) from error
        except openai.APIConnectionError as error:
            raise Failure(f"no answer from {self._base_url} ({error.__cause__ or error})", again=True) from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise Failure(f"the reply of {self._base_url} is not a chat completion", again=True) from error
        require_answer(response, self._base_url)
        return response
