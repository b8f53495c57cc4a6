"""Replies kept by idempotency key, by workers that share a store."""

import asyncio
import sys
from pathlib import Path

import pytest

from negotiator.messages import Reply, Request
from negotiator.presence import Presence
from negotiator.replies import KEEP_SECONDS, Claim, Replies
from negotiator.testing import VirtualClock
from protocol_docs import MemoryTextStore, StoreFull

pytestmark = pytest.mark.anyio

DONE = Reply(status="success", body={"n": 1})


def request(body: object = "x", key: str = "k") -> Request:
    return Request(body=body, idempotency_key=key)


def workers(count: int = 2) -> tuple[list[Replies], VirtualClock, MemoryTextStore]:
    store, clock = MemoryTextStore(), VirtualClock()
    return [Replies(store, clock, abandoned_after=120) for _ in range(count)], clock, store


async def test_a_kept_reply_is_had_again_from_every_worker() -> None:
    (one, other), _, _ = workers()
    standing, claim = await one.claim("p", request())
    assert standing == "new"
    assert one.finish(claim, DONE)
    for worker in (one, other):
        assert (await worker.claim("p", request()))[0] == DONE
        assert (await worker.claim("p", request("another body")))[0] == "conflict"
    assert (await other.claim("somebody else", request()))[0] == "new"


async def test_who_proved_nothing_gets_a_reply_again_at_the_address_that_it_went_to_and_nowhere_else() -> None:
    (one, other), _, store = workers()
    _, claim = await one.claim("anonymous", request(), "192.0.2.1")
    # While it is under way already: whoever waits would be given the reply.
    for worker in (one, other):
        assert (await worker.claim("anonymous", request(), "192.0.2.2"))[0] == "unproved"
    one.finish(claim, DONE)
    for worker in (one, other):
        assert (await worker.claim("anonymous", request(), "192.0.2.1"))[0] == DONE
        for elsewhere in ("192.0.2.2", None):
            assert (await worker.claim("anonymous", request(), elsewhere))[0] == "unproved"
            assert (await worker.claim("anonymous", request("another body"), elsewhere))[0] == "conflict"
    assert "192.0.2.1" not in "".join(filter(None, map(store.get, store.keys())))


async def test_who_proved_who_they_are_may_come_again_from_anywhere() -> None:
    (one, other), _, _ = workers()
    _, claim = await one.claim("did:web:a.example", request(), "192.0.2.1")
    one.finish(claim, DONE)
    assert (await other.claim("did:web:a.example", request(), "192.0.2.2"))[0] == DONE


async def test_a_reply_that_was_kept_without_an_address_is_given_to_no_stranger() -> None:
    (one, other), _, store = workers()
    _, claim = await one.claim("anonymous", request(), None)
    one.finish(claim, DONE)
    (key,) = store.keys("replies/")
    store.put(key, (store.get(key) or "").replace('"address"', '"another"'))
    assert (await other.claim("anonymous", request(), None))[0] == "unproved"


async def test_the_same_key_at_once_waits_for_the_first_in_the_same_process() -> None:
    (one, other), _, _ = workers()
    _, claim = await one.claim("p", request())
    waiting = [asyncio.ensure_future(one.claim("p", request())) for _ in range(3)]
    await asyncio.sleep(0)
    assert (await other.claim("p", request()))[0] == "elsewhere"
    assert (await one.claim("p", request("another")))[0] == "conflict"
    one.finish(claim, DONE)
    assert [standing for standing, _ in await asyncio.gather(*waiting)] == [DONE] * 3


async def test_a_claim_given_up_is_taken_by_one_of_those_that_wait() -> None:
    (one,), _, _ = workers(1)
    _, claim = await one.claim("p", request())
    waiting = [asyncio.ensure_future(one.claim("p", request())) for _ in range(3)]
    await asyncio.sleep(0)
    one.finish(claim, None)
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    ((standing, again),) = [task.result() for task in done]
    assert standing == "new"
    one.finish(again, DONE)
    assert sorted(str(standing) for standing, _ in await asyncio.gather(*waiting)) == sorted([str(DONE)] * 2 + ["new"])


async def test_a_waiting_request_that_is_cancelled_takes_nobody_with_it() -> None:
    (one,), _, _ = workers(1)
    _, claim = await one.claim("p", request())
    waiting = asyncio.ensure_future(one.claim("p", request()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert one.finish(claim, DONE)
    assert (await one.claim("p", request()))[0] == DONE


async def test_an_abandoned_claim_is_taken_over_by_one_worker_alone() -> None:
    crew, clock, _ = workers(5)
    await crew[0].claim("p", request())
    clock.advance(121)
    standings = [(await worker.claim("p", request()))[0] for worker in crew[1:]]
    assert sorted(map(str, standings)) == ["abandoned", "elsewhere", "elsewhere", "elsewhere"]
    clock.advance(121)
    last = [(await worker.claim("p", request()))[0] for worker in crew[2:]]
    assert last.count("abandoned") == 1, "the one that took it over has crashed too"


async def test_two_that_find_it_abandoned_at_the_same_moment_do_not_both_take_it() -> None:
    (dead, one, other), clock, store = workers(3)
    await dead.claim("p", request())
    clock.advance(121)
    put, seen = store.put, []

    def put_later(key: str, text: str) -> None:
        if not seen:  # the first is about to take it over when the second looks
            seen.append(key)
            seen.append(other._standing(Claim(key, _digest(text), "", asyncio.Future())))
        put(key, text)

    store.put = put_later  # type: ignore[method-assign]
    assert (await one.claim("p", request()))[0] == "abandoned"
    assert seen[1] == "elsewhere"


def _digest(row: str) -> str:
    import orjson

    return str(orjson.loads(row)["request"])


async def test_what_cannot_be_kept_leaves_the_claim_standing_and_lets_nobody_wait() -> None:
    (one, other), clock, store = workers()
    _, claim = await one.claim("p", request())
    waiting = asyncio.ensure_future(one.claim("p", request()))
    await asyncio.sleep(0)

    def full(*_: object) -> None:
        raise StoreFull("full")

    put, store.put = store.put, full  # type: ignore[method-assign]
    assert not one.finish(claim, DONE)
    assert (await waiting)[0] == DONE
    store.put = put  # type: ignore[method-assign]
    assert (await other.claim("p", request()))[0] == "elsewhere"
    clock.advance(121)
    assert (await other.claim("p", request()))[0] == "abandoned"


async def test_old_rows_are_dropped_by_themselves() -> None:
    (one,), clock, store = workers(1)
    for number in range(300):
        _, claim = await one.claim("p", request(key=str(number)))
        one.finish(claim, DONE)
    clock.advance(KEEP_SECONDS + 1)
    for number in range(300):
        _, claim = await one.claim("p", request(key=f"new {number}"))
        one.finish(claim, DONE)
    assert len(list(store.keys())) <= 300


@pytest.mark.parametrize("row", ["", "[]", "no json", '{"reply": 3}', '{"reply": {"status": "success", "x": 1}}'])
async def test_a_row_that_cannot_be_read_is_never_a_reason_to_run_again_at_once(row: str) -> None:
    (one,), _, store = workers(1)
    _, claim = await one.claim("p", request())
    one.finish(claim, DONE)
    store.put(claim.key, row)
    standing, _ = await one.claim("p", request())
    if isinstance(standing, Reply):
        assert standing.code == "outcome_unknown"
    else:
        assert standing == "abandoned", "the journal then decides"


async def test_a_clock_set_back_does_not_open_a_claim() -> None:
    (one, other), clock, _ = workers()
    await one.claim("p", request())
    clock.jump(-86_400)
    assert (await other.claim("p", request()))[0] == "elsewhere"


class Processes:
    """Workers of one state, each as if in a process of its own, which may end."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.store, self._folder = VirtualClock(), MemoryTextStore(), folder
        self._signs: dict[Replies, Presence] = {}

    def worker(self) -> Replies:
        sign = Presence(self._folder, self.clock)
        made = Replies(self.store, self.clock, abandoned_after=120, presence=sign)
        self._signs[made] = sign
        return made

    def end(self, worker: Replies) -> None:
        """What the system does at the end of a process: its locks are free."""
        self._signs.pop(worker)._own = None
        worker._presence = None


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
async def test_the_claim_of_a_process_that_has_ended_is_taken_over_at_once_and_once(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    dead, one, other = (processes.worker() for _ in range(3))
    await dead.claim("p", request())
    assert (await one.claim("p", request()))[0] == "elsewhere", "it lives"
    processes.end(dead)
    standing, claim = await one.claim("p", request())
    assert standing == "abandoned"
    assert (await other.claim("p", request()))[0] == "elsewhere"
    processes.end(one)
    standing, claim = await other.claim("p", request())
    assert standing == "abandoned", "so has the one that took it over"
    assert other.finish(claim, DONE)
    assert (await processes.worker().claim("p", request()))[0] == DONE


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
async def test_one_that_ends_while_it_takes_over_is_followed_by_one_alone(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    dead, taking, *crew = (processes.worker() for _ in range(6))
    await dead.claim("p", request())
    processes.end(dead)
    put = processes.store.put

    def ends(*_: str) -> None:
        raise KeyboardInterrupt

    processes.store.put = ends  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await taking.claim("p", request())
    processes.store.put = put  # type: ignore[method-assign]
    assert (await crew[0].claim("p", request()))[0] == "elsewhere", "it lives, as far as anybody knows"
    processes.end(taking)
    standings = [(await worker.claim("p", request()))[0] for worker in crew]
    assert sorted(map(str, standings)) == ["abandoned", "elsewhere", "elsewhere", "elsewhere"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
async def test_an_old_look_at_a_claim_does_not_undo_what_its_successor_replied(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    dead, quick, slow = (processes.worker() for _ in range(3))
    await dead.claim("p", request())
    processes.end(dead)
    add, seen = processes.store.add, list[object]()

    def add_later(key: str, text: str) -> bool:
        if key.startswith("replies-taken/") and not seen:
            # `slow` has looked; before it takes over, `quick` takes over, replies and ends.
            seen.append(key)
            seen.append(quick._standing(Claim(place, digest, "", asyncio.Future())))
            processes.store.put(place, kept)
            processes.end(quick)
        return add(key, text)

    (place,) = processes.store.keys("replies/")
    digest = _digest(processes.store.get(place) or "")
    done = Replies(MemoryTextStore(), processes.clock, abandoned_after=120)
    _, other = await done.claim("p", request())
    done.finish(other, DONE)
    kept = done._store.get(other.key) or ""
    processes.store.add = add_later  # type: ignore[method-assign]
    assert (await slow.claim("p", request()))[0] == "elsewhere"
    assert seen[1] == "abandoned"
    assert (await slow.claim("p", request()))[0] == DONE


async def test_of_what_may_be_done_again_the_oldest_is_forgotten_and_nothing_else() -> None:
    (one,), clock, store = workers(1)
    _, claim = await one.claim("p", request())
    one.finish(claim, DONE)
    others = one.beside("others/", at_most=3, row_bytes=1_000)
    for number in range(10):
        clock.advance(1)
        standing, claim = await others.claim("p", request(key=f"k-{number}"))
        assert standing == "new"
        others.finish(claim, DONE)
    assert others.purge() == 7
    assert sum(1 for _ in store.keys("others/")) == 3
    assert (await others.claim("p", request(key="k-9")))[0] == DONE
    assert (await one.claim("p", request()))[0] == DONE
    # One that is large is not kept, and may be made again.
    _, claim = await others.claim("p", request(key="large"))
    assert not others.finish(claim, Reply(status="success", body="x" * 1_000))
    assert sum(1 for _ in store.keys("others/")) == 3
    assert (await others.claim("p", request(key="large")))[0] == "new"
