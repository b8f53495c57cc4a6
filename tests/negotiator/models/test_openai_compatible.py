"""An OpenAI-compatible endpoint, scripted on loopback, well-behaved and not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import pytest

from negotiator.clock import Deadline, SystemClock
from negotiator.errors import DeadlinePassed, ModelUnavailable
from negotiator.models import Message, open_model, price_of
from negotiator.models.chat import Habits, is_reasoning
from negotiator.models.openai_compatible import OpenAIModel
from negotiator.models.retrying import FAILURES_BEFORE_REST, REST
from negotiator.models.schema_formats import fits_strict
from tests.negotiator.models.loopback import Endpoint, Play, endpoint, refused, said

HELLO = (Message("system", "Be brief."), Message("user", "Hello."))
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
BUSY = Play({"error": {"message": "busy"}}, 503)


@dataclass
class Hands:
    """A clock that only sleeping moves."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Bench:
    model: OpenAIModel
    served: Endpoint
    hands: Hands

    async def ask(self, seconds: float = 60, **more: Any) -> Any:
        return await self.model.complete(HELLO, purpose="greet", deadline=Deadline.after(seconds, self.hands), **more)


@asynccontextmanager
async def bench(*plays: Play, model: str = "small", own: bool = False) -> AsyncIterator[Bench]:
    hands = Hands()
    async with endpoint(*plays) as served:
        it = OpenAIModel(
            model, base_url=served.url, api_key="sk-secret", clock=hands, random=lambda: 0.5, sleep=hands.sleep
        )
        if own:
            it._habits = Habits(model, reasons=is_reasoning(model))
        try:
            yield Bench(it, served, hands)
        finally:
            await it.aclose()


@pytest.mark.anyio
async def test_an_answer_comes_with_its_usage() -> None:
    async with bench(said("Hello.")) as at:
        completion = await at.ask(max_tokens=5)
        assert (completion.text, completion.model, completion.truncated) == ("Hello.", "openai/small", False)
        assert (completion.usage.calls, completion.usage.prompt_tokens, completion.usage.completion_tokens) == (
            1,
            11,
            7,
        )
        assert completion.usage.usd is None, "an unlisted model has no known price"
        assert at.served.requests == [
            {
                "model": "small",
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}],
                "max_tokens": 5,
                "temperature": 0,
            }
        ]
        assert at.served.headers[0]["authorization"] == "bearer sk-secret"


@pytest.mark.anyio
async def test_a_listed_model_is_priced() -> None:
    async with bench(said("Hello."), model="gpt-4o-mini") as at:
        completion = await at.ask()
        assert completion.usage.usd == price_of("gpt-4o-mini", 11, 7) == pytest.approx((11 * 0.15 + 7 * 0.6) / 1e6)


@pytest.mark.anyio
async def test_a_schema_is_strict_only_within_the_rules_of_strict() -> None:
    async with bench(said('{"a": 1}'), said('{"a": 1}')) as at:
        await at.ask(schema=CLOSED)
        await at.ask(schema=OPEN)
        formats = [request["response_format"] for request in at.served.requests]
        assert formats == [
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": CLOSED, "strict": True}},
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": OPEN, "strict": False}},
        ]


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        (CLOSED, True),
        (OPEN, False),
        ({"type": "array", "items": CLOSED}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}}}, True),
        ({**CLOSED, "properties": {"a": OPEN}}, False),
        ({**CLOSED, "properties": {"a": {"type": "string", "pattern": "x"}}}, False),
        ({**CLOSED, "anyOf": [CLOSED]}, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "properties": {"a": True}}, False),
        ({**CLOSED, "$defs": {"b": OPEN}}, False),
    ],
)
def test_the_rules_of_strict(schema: Any, fits: bool) -> None:
    assert fits_strict(schema) is fits


@pytest.mark.anyio
async def test_an_endpoint_without_response_format_is_told_in_words_and_not_asked_again() -> None:
    no = refused("Unsupported parameter: response_format")
    async with bench(no, no, said('{"a": 1}'), said('{"a": 2}')) as at:
        assert (await at.ask(schema=CLOSED)).text == '{"a": 1}'
        assert (await at.ask(schema=CLOSED)).text == '{"a": 2}'
        assert ["response_format" in request for request in at.served.requests] == [True, True, False, False]
        assert [
            request.get("response_format", {}).get("json_schema", {}).get("strict")
            for request in at.served.requests[:2]
        ] == [True, False]
        system = at.served.requests[3]["messages"][0]
        assert system["role"] == "system"
        assert system["content"].startswith("Be brief.\n\n")
        assert '"additionalProperties": false' in system["content"]
        assert at.hands.slept == []


@pytest.mark.anyio
async def test_a_schema_refused_for_itself_does_not_lower_the_others() -> None:
    other = {**CLOSED, "title": "other"}
    no = refused("Invalid schema for response_format 'answer': too odd.")
    async with bench(no, said("{}"), said("{}"), said("{}")) as at:
        for schema in (CLOSED, other, CLOSED):
            await at.ask(schema=schema)
        assert [request["response_format"]["json_schema"]["strict"] for request in at.served.requests] == [
            True,
            False,
            True,
            False,
        ]


@pytest.mark.anyio
async def test_parameters_that_a_model_refuses_are_left_out_from_then_on() -> None:
    plays = (
        refused(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        ),
        refused("Unsupported value: 'temperature' does not support 0 with this model."),
        said("Hello."),
        said("Hello."),
    )
    async with bench(*plays) as at:
        await at.ask(max_tokens=5)
        await at.ask(max_tokens=5)
        last = at.served.requests[-1]
        assert len(at.served.requests) == 4
        assert "max_tokens" not in last
        assert "temperature" not in last
        assert last["max_completion_tokens"] > 5


@pytest.mark.anyio
async def test_a_reasoning_model_gets_room_to_reason() -> None:
    async with bench(said("Hello."), model="gpt-5-mini", own=True) as at:
        await at.ask(max_tokens=5)
        request = at.served.requests[0]
        assert request["max_completion_tokens"] > 5000
        assert request["reasoning_effort"] == "low"
        assert "temperature" not in request


@pytest.mark.anyio
async def test_a_bad_request_is_not_repeated() -> None:
    async with bench(refused("the maximum context length is 10 tokens; lower max_tokens or the messages")) as at:
        with pytest.raises(ModelUnavailable, match=r"HTTP 400: .*maximum context length"):
            await at.ask(schema=CLOSED)
        assert len(at.served.requests) == 1


@pytest.mark.anyio
async def test_too_many_requests_waits_as_long_as_it_is_told() -> None:
    async with bench(refused("slow down", 429, {"retry-after": "7"}), said("Hello.")) as at:
        completion = await at.ask()
        assert completion.text == "Hello."
        assert at.hands.slept == [7]
        assert completion.usage.calls == 1
        assert completion.usage.seconds == 7


@pytest.mark.anyio
async def test_a_date_to_retry_after_is_a_time_on_the_clock() -> None:
    when = formatdate(1_700_000_000 + 1000 + 9, usegmt=True)
    async with bench(refused("slow down", 503, {"retry-after": when}), said("Hello.")) as at:
        await at.ask()
        assert at.hands.slept == [9]


@pytest.mark.anyio
@pytest.mark.parametrize("header", ["soon", "-3", "1e999", ""])
async def test_a_retry_after_that_means_nothing_is_ignored(header: str) -> None:
    async with bench(refused("slow down", 429, {"retry-after": header}), said("Hello.")) as at:
        await at.ask()
        assert at.hands.slept == [0.25]


@pytest.mark.anyio
async def test_a_wait_beyond_the_deadline_is_not_begun_and_is_remembered() -> None:
    async with bench(refused("slow down", 429, {"retry-after": "70"}), said("Hello.")) as at:
        with pytest.raises(ModelUnavailable, match="slow down"):
            await at.ask(seconds=60)
        with pytest.raises(ModelUnavailable, match="asked again in 70 s"):
            await at.ask()
        assert at.hands.slept == []
        assert len(at.served.requests) == 1
        at.hands.now += 70
        assert (await at.ask()).text == "Hello."


@pytest.mark.anyio
async def test_server_errors_are_retried_with_jitter_and_a_bound() -> None:
    async with bench(BUSY, Play(b"<html>", 500), refused("bad gateway", 502), said("never")) as at:
        with pytest.raises(ModelUnavailable, match="openai/small: HTTP 502"):
            await at.ask()
        assert len(at.served.requests) == 3
        assert at.hands.slept == [0.25, 0.5]


@pytest.mark.anyio
async def test_an_endpoint_that_keeps_failing_is_left_alone_for_a_while() -> None:
    async with bench(*[BUSY] * (3 * FAILURES_BEFORE_REST), said("Hello.")) as at:
        for _ in range(FAILURES_BEFORE_REST):
            with pytest.raises(ModelUnavailable, match="503"):
                await at.ask()
        asked = len(at.served.requests)
        with pytest.raises(ModelUnavailable, match="asked again in"):
            await at.ask()
        assert len(at.served.requests) == asked
        at.hands.now += REST
        assert (await at.ask()).text == "Hello."


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("play", "words"),
    [
        (refused("Incorrect API key provided: sk-secret", 401), "refuses the API key"),
        (refused("You exceeded your quota", 429, code="insufficient_quota"), "exceeded your quota"),
        (refused("no such model", 404), "no such model"),
    ],
)
async def test_what_no_waiting_mends_is_not_retried(play: Play, words: str) -> None:
    async with bench(play) as at:
        with pytest.raises(ModelUnavailable, match=words) as caught:
            await at.ask()
        assert "sk-secret" not in str(caught.value)
        assert len(at.served.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    "bad",
    [
        Play(b'{"choices": [{"mess'),
        Play(b"<html>hello</html>", headers={"content-type": "text/html"}),
        Play(b"null"),
        Play([]),
        Play({}),
        Play({"choices": []}),
        Play({"choices": [{"index": 0}]}),
        Play({"choices": [None]}),
        Play({"choices": "no"}),
        Play(hang_up=True),
    ],
)
async def test_a_reply_that_is_no_completion_is_retried_and_never_used(bad: Play) -> None:
    async with bench(bad, said("Hello."), bad, bad, bad) as at:
        assert (await at.ask()).text == "Hello."
        with pytest.raises(ModelUnavailable):
            await at.ask()
        assert len(at.served.requests) == 5


@pytest.mark.anyio
async def test_an_endpoint_that_never_answers_costs_no_more_than_the_deadline() -> None:
    async with endpoint(Play(hang=True)) as served:
        model = OpenAIModel("small", base_url=served.url)
        with pytest.raises(DeadlinePassed):
            await model.complete(HELLO, purpose="greet", deadline=Deadline.after(0.5, SystemClock()))
        async with asyncio.timeout(10):
            await served.hung_up_on.wait()
        assert len(served.requests) == 1
        await model.aclose()


@pytest.mark.anyio
async def test_a_passed_deadline_sends_nothing() -> None:
    async with bench(said("Hello.")) as at:
        with pytest.raises(DeadlinePassed):
            await at.ask(seconds=0)
        assert at.served.requests == []


@pytest.mark.anyio
async def test_nobody_listening_is_unavailable() -> None:
    hands = Hands()
    model = OpenAIModel("small", base_url="http://127.0.0.1:1/v1", clock=hands, random=lambda: 0, sleep=hands.sleep)
    with pytest.raises(ModelUnavailable, match=r"no answer from http://127\.0\.0\.1:1/v1"):
        await model.complete(HELLO, purpose="greet", deadline=Deadline.after(60, hands))
    assert len(hands.slept) == 2
    await model.aclose()


@pytest.mark.anyio
async def test_an_answer_cut_off_at_its_limit_says_so() -> None:
    async with bench(said('{"a"', finish="length")) as at:
        assert (await at.ask(schema=CLOSED)).truncated


@pytest.mark.anyio
async def test_a_refusal_is_no_answer() -> None:
    async with bench(
        said(None, message={"refusal": "I would rather not."}), said("half", finish="content_filter"), said(None)
    ) as at:
        refusal = await at.ask(schema=CLOSED)
        assert (refusal.text, refusal.refusal) == ("", "I would rather not.")
        filtered = await at.ask()
        assert (filtered.text, filtered.refusal) == ("", "the provider's content filter stopped the answer")
        empty = await at.ask()
        assert (empty.text, empty.refusal) == ("", None)


@pytest.mark.anyio
async def test_usage_that_is_not_told_is_estimated() -> None:
    async with bench(said("12345", usage=None)) as at:
        usage = (await at.ask()).usage
        assert (usage.prompt_tokens, usage.completion_tokens) == (3 + 2, 2)


@pytest.mark.anyio
async def test_several_tasks_share_one_client() -> None:
    async with bench(*[said(str(number)) for number in range(8)]) as at:
        answers = await asyncio.gather(*(at.ask() for _ in range(8)))
        assert sorted(answer.text for answer in answers) == [str(number) for number in range(8)]
        assert len(at.model._clients) == 1


def test_a_model_outlives_an_event_loop() -> None:
    model = OpenAIModel("small", base_url="http://unset")

    async def once() -> str:
        async with endpoint(said("Hello.")) as served:
            model._base_url = served.url
            completion = await model.complete(HELLO, purpose="greet", deadline=Deadline.after(60, SystemClock()))
            await model.aclose()
            return completion.text

    assert [asyncio.run(once()), asyncio.run(once())] == ["Hello.", "Hello."]


@pytest.mark.anyio
async def test_the_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelUnavailable, match="set OPENAI_API_KEY"):
        await open_model("openai/gpt-5-mini").complete(
            HELLO, purpose="greet", deadline=Deadline.after(60, SystemClock())
        )
    async with endpoint(said("Hello.")) as served:
        monkeypatch.setenv("OPENAI_BASE_URL", served.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
        # A proxy would carry prompts for this machine off it.
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        model = open_model("openai/meta/llama")
        assert model.name == "openai/meta/llama"
        await model.complete(HELLO, purpose="greet", deadline=Deadline.after(60, SystemClock()))
        assert served.headers[0]["authorization"] == "bearer sk-mine"
        assert served.requests[0]["model"] == "meta/llama"
        assert "sk-mine" not in repr(model)
        await model.aclose()
