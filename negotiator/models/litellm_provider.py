"""Any model that `litellm` can reach, with what it does on its own switched off.

It is imported on the first call, in a thread: seconds, and hundreds of megabytes. It goes on to import while
it answers, so it runs in an event loop of its own, in that thread, and blocks nobody. Then:

- its price map, its header map and its `.env` file are not looked for (`_ENVIRONMENT`);
- it does not retry: `negotiator.models.retrying` does, and the deadline is ours;
- its cache, which one part of a program may switch on for all and which tells no two addresses apart, is
  neither read nor written;
- no `tools` are sent, for which some of its releases need packages that they do not ask for;
- it is not asked what a model can do, for it knows nothing of private endpoints: it is tried;
- a model that it has no price for costs None, not an error.
"""

import asyncio
import functools
import importlib
import importlib.metadata
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from negotiator.clock import Clock, Deadline, SystemClock
from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message
from negotiator.models.chat import Habits, completion_of, failure_of, is_reasoning, require_answer
from negotiator.models.retrying import RETRIED_STATUSES, Failure, Retrying, by_deadline

MALICIOUS_RELEASES: Final = frozenset({"1.82.7", "1.82.8", "1.107.0"})
"""Releases of litellm that stole credentials; never imported."""

_ENVIRONMENT: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
}
_STARTING = threading.Lock()


class LiteLLMModel:
    """A model by the name that litellm gives it, such as `anthropic/claude-sonnet-4-5`.

    Args:
        model: litellm's name for it.
        base_url: Of a private endpoint.
        api_key: The provider's environment variable by default.
        clock: Where durations come from.
        random: Numbers from 0 up to 1 for the jitter of retries.
        sleep: Waits that many seconds between retries.

    Raises:
        UsageError: The release of litellm that is installed is a malicious one.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        release = importlib.metadata.version("litellm")
        if release in MALICIOUS_RELEASES:
            raise UsageError(f"litellm {release} is a malicious release: remove it and change every key it could read")
        self._model = model
        self._name = f"litellm/{model}"
        self._where = {"api_base": base_url, "api_key": api_key}
        self._clock = clock or SystemClock()
        self._retrying = Retrying(clock=self._clock, random_number=random, sleep=sleep)
        self._habits = Habits(model, reasons=is_reasoning(model))

    @property
    def name(self) -> str:
        """`litellm/` and litellm's name."""
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
        litellm, loop = await by_deadline(deadline, lambda: asyncio.to_thread(_litellm))
        started = self._clock.monotonic()

        async def once() -> Any:
            while True:
                request, way = self._habits.request(messages, schema, max_tokens)
                try:
                    sending = self._send(litellm, request, deadline)
                    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(sending, loop))
                except Failure as failure:
                    if not self._habits.learns(failure, request, schema, way):
                        raise

        response = await self._retrying.run(self._name, once, deadline)
        completion = completion_of(response, messages, name=self._name, seconds=self._clock.monotonic() - started)
        if completion.usage.usd is None:
            usd = _usd(litellm, self._model, completion)
            completion = replace(completion, usage=replace(completion.usage, usd=usd))
        return completion

    async def aclose(self) -> None:
        """Nothing: litellm shares its connections with whoever else uses it, and closes them at exit."""

    async def _send(self, litellm: Any, request: JsonObject, deadline: Deadline) -> Any:
        import openai  # noqa: PLC0415 - litellm has loaded it, and its errors are subclasses

        try:
            response = await litellm.acompletion(
                **request,
                **{name: value for name, value in self._where.items() if value is not None},
                timeout=deadline.require(),
                num_retries=0,
                max_retries=0,
                caching=False,
                cache={"no-cache": True, "no-store": True},
            )
        except openai.APIStatusError as error:
            raise failure_of(error, self._name, self._clock) from error
        except openai.APIConnectionError as error:
            raise Failure(f"no answer ({error.message})", again=True) from error
        except openai.APIError as error:
            # litellm's own kind for whatever it has no name for; it carries the status it saw.
            status = getattr(error, "status_code", None)
            raise Failure(error.message, again=status in RETRIED_STATUSES, status=status) from error
        except Exception as error:
            # Names it does not know, settings that it misses: it raises all kinds.
            raise Failure(f"{type(error).__name__}: {error}") from error
        require_answer(response, self._name)
        return response


def _litellm() -> tuple[Any, asyncio.AbstractEventLoop]:
    """The package, set up, and the loop that it runs in. Slow the first time; call it in a thread."""
    with _STARTING:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        litellm: Any = importlib.import_module("litellm")
        litellm.suppress_debug_info = True
        litellm.telemetry = False
        return litellm, _loop_of_its_own()


@functools.cache
def _loop_of_its_own() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="litellm", daemon=True).start()
    return loop


def _usd(litellm: Any, model: str, completion: Completion) -> float | None:
    try:
        prompt, answer = litellm.cost_per_token(
            model=model,
            prompt_tokens=completion.usage.prompt_tokens,
            completion_tokens=completion.usage.completion_tokens,
        )
    except Exception:  # noqa: BLE001 - it raises bare exceptions for models without a price
        return None
    return float(prompt) + float(answer)
