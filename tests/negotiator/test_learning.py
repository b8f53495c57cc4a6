"""Work off the request's path: one of each kind, cancellable, its errors nobody's but the log's."""

import asyncio

import pytest

from negotiator.errors import NotPossible
from negotiator.learning import Learner
from negotiator.models.priority import _background

pytestmark = pytest.mark.anyio


async def test_one_of_each_kind_runs_at_a_time() -> None:
    learner, release, ran = Learner(), asyncio.Event(), []

    async def work() -> None:
        ran.append(1)
        await release.wait()

    assert learner.start("a/1", work)
    assert not learner.start("a/1", work)
    assert learner.start("a/2", work)
    await asyncio.sleep(0)
    assert learner.busy("a/1")
    release.set()
    await learner.settle()
    assert not learner.busy("a/1")
    assert len(ran) == 2
    assert learner.start("a/1", work), "it may be begun again"
    await learner.settle()


async def test_settling_waits_for_what_was_begun_meanwhile() -> None:
    learner, done = Learner(), []

    async def second() -> None:
        await asyncio.sleep(0)
        done.append(2)

    async def first() -> None:
        learner.start("b", second)
        done.append(1)

    learner.start("a", first)
    await learner.settle()
    assert done == [1, 2]


async def test_who_waits_and_gives_up_does_not_end_the_work() -> None:
    learner, release = Learner(), asyncio.Event()
    ended = []

    async def work() -> None:
        await release.wait()
        ended.append(1)

    learner.start("a", work)
    waiting = asyncio.ensure_future(learner.wait_for("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await learner.wait_for("a")
    await learner.wait_for("nothing of this name")
    assert ended == [1]


async def test_closing_cancels_and_waits_for_the_end() -> None:
    learner, ended = Learner(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    learner.start("a", work)
    await asyncio.sleep(0)
    await learner.aclose()
    assert ended == [1]
    assert not learner.busy("a")


async def test_errors_go_to_the_log_without_their_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    learner = Learner()

    async def typed() -> None:
        raise NotPossible("secret")

    async def untyped() -> None:
        raise KeyError("secret")

    learner.start("typed/x", typed)
    learner.start("untyped/x", untyped)
    await learner.settle()
    assert [(record.levelname, record.args[0]) for record in caplog.records] == [
        ("INFO", "typed"),
        ("ERROR", "untyped"),
    ]  # type: ignore[index]
    assert "NotPossible" in caplog.text
    assert "test_learning.py" in caplog.text
    assert "secret" not in caplog.text


async def test_learning_lets_requests_go_first_on_a_shared_model() -> None:
    learner, seen = Learner(), []

    async def work() -> None:
        seen.append(_background.get())

    learner.start("a", work)
    await learner.settle()
    assert seen == [True]
    assert _background.get() is False
