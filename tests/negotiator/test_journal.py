"""What a request has done: intents before calls, replays instead of repeats."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import BadInput, EffectsAlreadyMade, OutcomeUnknown, ToolFailed
from negotiator.journal import Journal, canonical, digest_of
from negotiator.jsonvalue import JsonValue
from protocol_docs import MemoryTextStore, StoreFull

pytestmark = pytest.mark.anyio


class Called:
    """A tool that counts."""

    def __init__(self, result: Any = "done", *, error: BaseException | None = None) -> None:
        self.times = 0
        self._result = result
        self._error = error

    async def __call__(self) -> JsonValue:
        self.times += 1
        if self._error is not None:
            raise self._error
        return self._result


def journal(store: MemoryTextStore | None = None) -> Journal:
    return Journal(lambda: "k", store or MemoryTextStore())


async def test_a_fallback_gets_the_results_of_the_calls_it_repeats_in_their_order() -> None:
    kept = journal()
    first, second, never = Called({"n": [1]}), Called({"n": [2]}), Called()
    assert await kept.call("look", {"a": 1}, "safe", first) == {"n": [1]}
    assert await kept.call("look", {"a": 1}, "safe", second) == {"n": [2]}
    kept.fall_back()
    assert await kept.call("look", {"a": 1}, "safe", never) == {"n": [1]}
    assert await kept.call("look", {"a": 1}, "safe", never) == {"n": [2]}
    assert never.times == 0
    again = Called("new")
    assert await kept.call("look", {"a": 1}, "safe", again) == "new", "a safe call that matches none is made"


async def test_results_are_copies() -> None:
    kept = journal()
    result = await kept.call("look", {}, "safe", Called({"n": [1]}))
    result["n"].append(2)
    kept.fall_back()
    replayed = await kept.call("look", {}, "safe", Called())
    assert replayed == {"n": [1]}
    replayed["n"].clear()
    kept.fall_back()
    assert await kept.call("look", {}, "safe", Called()) == {"n": [1]}


async def test_after_an_effect_a_fallback_may_only_replay() -> None:
    for arguments, effect, tool in (({"a": 2}, "transactional", "book"), ({}, "safe", "look")):
        kept = journal()
        await kept.call("book", {"a": 1}, "transactional", Called())
        kept.fall_back()
        never = Called()
        with pytest.raises(EffectsAlreadyMade):
            await kept.call(tool, arguments, effect, never)  # type: ignore[arg-type]
        assert never.times == 0


async def test_no_transactional_tool_is_called_twice_by_one_tier_either() -> None:
    kept = journal()
    await kept.call("book", {"a": 1}, "transactional", Called())
    with pytest.raises(EffectsAlreadyMade):
        await kept.call("book", {"a": 2}, "transactional", Called())
    assert await kept.call("pay", {"a": 1}, "transactional", Called()) == "done"


async def test_a_call_that_never_came_back_is_an_unknown_outcome() -> None:
    kept = journal()
    with pytest.raises(ToolFailed):
        await kept.call("book", {}, "transactional", Called(error=ToolFailed()))
    kept.fall_back()
    with pytest.raises(OutcomeUnknown):
        await kept.call("book", {}, "transactional", Called())


async def test_a_safe_call_that_failed_may_be_made_again() -> None:
    kept = journal()
    with pytest.raises(ToolFailed):
        await kept.call("look", {}, "safe", Called(error=ToolFailed()))
    kept.fall_back()
    assert await kept.call("look", {}, "safe", Called()) == "done"


async def test_the_intent_is_in_the_store_before_the_call_and_gone_after_the_request() -> None:
    store = MemoryTextStore()
    kept = journal(store)
    seen = []

    async def look_into_the_store() -> JsonValue:
        seen.append(orjson.loads(store.get("journal/k") or "null"))
        return 1

    await kept.call("book", {"b": 1, "a": 2}, "transactional", look_into_the_store)
    assert seen == [[["book", '{"a":2,"b":1}', "transactional", "intent", None]]]
    assert not kept.left_by_crash(), "it is this process's own"
    assert Journal(lambda: "k", store).left_by_crash()
    kept.close()
    assert list(store.keys()) == []


async def test_safe_calls_leave_nothing_in_the_store() -> None:
    store = MemoryTextStore()
    await journal(store).call("look", {}, "safe", Called())
    assert list(store.keys()) == []


async def test_nothing_is_called_where_the_intent_cannot_be_written() -> None:
    kept, never = journal(MemoryTextStore(max_bytes=10)), Called()
    with pytest.raises(StoreFull):
        await kept.call("book", {}, "transactional", never)
    assert never.times == 0
    assert not kept.effects_made


async def test_a_cancelled_effect_counts_as_made() -> None:
    store = MemoryTextStore()
    kept = journal(store)

    async def never() -> JsonValue:
        await asyncio.Event().wait()

    calling = asyncio.ensure_future(kept.call("book", {}, "transactional", never))
    await asyncio.sleep(0)
    calling.cancel()
    with suppress(asyncio.CancelledError):
        await calling
    assert kept.effects_made
    assert Journal(lambda: "k", store).left_by_crash()


@pytest.mark.parametrize("result", [object(), 2**64, "\ud800", {1, 2}])
async def test_a_result_that_is_no_json_is_a_failed_tool(result: object) -> None:
    with pytest.raises(ToolFailed):
        await journal().call("book", {}, "transactional", Called(result))


def test_equal_values_have_equal_bytes() -> None:
    assert canonical({"b": [1, 2.5], "a": None}) == b'{"a":null,"b":[1,2.5]}'
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})
    with pytest.raises(BadInput):
        canonical(2**64)


calls = st.tuples(
    st.sampled_from(["book", "pay", "look"]),
    st.sampled_from([{}, {"a": 1}, {"a": 2}]),
    st.sampled_from(["fine", "fails", "crashes"]),
)


@given(tiers=st.lists(st.lists(calls, max_size=5), min_size=1, max_size=4))
def test_whatever_the_tiers_do_no_transactional_tool_runs_twice(
    tiers: list[list[tuple[str, dict[str, int], str]]],
) -> None:
    store, ran = MemoryTextStore(), []

    def tool(name: str, how: str) -> Callable[[], Awaitable[JsonValue]]:
        async def run() -> JsonValue:
            ran.append(name)
            if how == "fails":
                raise ToolFailed
            if how == "crashes":
                raise KeyError
            return len(ran)

        return run

    async def request() -> None:
        kept = Journal(lambda: "k", store)
        for tier in tiers:
            for name, arguments, how in tier:
                effect = "safe" if name == "look" else "transactional"
                before = len(ran)
                with suppress(ToolFailed, KeyError, EffectsAlreadyMade, OutcomeUnknown):
                    await kept.call(name, arguments, effect, tool(name, how))  # type: ignore[arg-type]
                if effect == "transactional" and len(ran) > before:
                    assert Journal(lambda: "k", store).left_by_crash(), "what was done stands in the store"
            kept.fall_back()

    anyio.run(request)
    assert ran.count("book") <= 1
    assert ran.count("pay") <= 1
