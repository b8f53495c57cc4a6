"""Who gets which worker, in which order, and what happens where workers cannot be had."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sandbox import SandboxError, SandboxUnavailable
from sandbox.pool import LONGEST_PAUSE, Pool, Ticket
from sandbox.processes import Worker

TENANTS = st.sampled_from(["a", "b", "c"])
MEMORY = st.sampled_from([64, 128])


class Actor(Worker):
    """A worker without a process."""

    def __init__(self, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self.tenant: str | None = None
        self.held = {}
        self.calls = 0
        self.busy_seconds = 0.0
        self.dead = self.buried = False
        self.process = cast("Any", SimpleNamespace(kill=lambda: None, pid=id(self)))

    def bury(self) -> int:
        assert not self.buried, "a worker is buried once"
        self.dead = self.buried = True
        return 0


class Stage:
    """A pool whose orders are carried out when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, workers: int = 2, spares: int = 1) -> None:
        self.now = 100.0
        self.attempts = 0
        self.broken = False
        self.delivered: dict[Ticket, Any] = {}
        self.pool = Pool(workers, spares, 64, clock=lambda: self.now)
        monkeypatch.setattr(self.pool._starts, "worker", self._start)
        monkeypatch.setattr(self.pool, "_run_threads", lambda: None)

    def _start(self, memory_bytes: int) -> Worker:
        self.attempts += 1
        if self.broken:
            raise SandboxUnavailable("a worker process did not come up")
        return Actor(memory_bytes)

    def wait(self, tenant: str = "a", memory_bytes: int = 64) -> list[Worker | SandboxError]:
        got: list[Worker | SandboxError] = []
        self.pool.wait(tenant, memory_bytes, got.append)
        return got

    def work(self, most: int = 1000) -> None:
        while most and not self.pool._orders.empty():
            order = self.pool._orders.get_nowait()
            assert order is not None
            self.pool._fulfil(order)
            most -= 1


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def worker_of(got: list[Worker | SandboxError]) -> Worker:
    (only,) = got
    assert isinstance(only, Worker)
    return only


def test_nothing_is_started_before_the_first_call(stage: Stage) -> None:
    assert stage.pool.take("a", 64) is None
    stage.work()
    assert stage.attempts == 0


def test_a_spare_is_ordered_when_the_first_call_is_over_and_not_beside_it(stage: Stage) -> None:
    got = stage.wait()
    stage.work()
    worker = worker_of(got)
    assert stage.attempts == 1
    stage.pool.release(worker)
    stage.work()
    assert stage.attempts == 2
    assert len(stage.pool._spares) == 1


def test_a_retired_worker_is_replaced_by_the_spare_at_once(stage: Stage) -> None:
    got = stage.wait()
    stage.work()
    stage.pool.release(worker_of(got))
    stage.work()
    first = stage.pool.take("a", 64)
    assert first is worker_of(got)
    stage.pool.retire(first)
    second = stage.pool.take("a", 64)
    assert second is not None
    assert second is not first


def test_the_spare_is_like_the_last_worker_that_was_asked_for(stage: Stage) -> None:
    got = stage.wait("a", 128)
    stage.work()
    stage.pool.release(worker_of(got))
    stage.work()
    assert [worker.memory_bytes for worker in stage.pool._spares] == [128]


def test_a_tenant_with_many_calls_delays_anothers_by_one_and_not_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, workers=1, spares=1)
    first = stage.wait("many")
    stage.work()
    many = [stage.wait("many") for _ in range(10)]
    other = stage.wait("other")
    stage.pool.release(worker_of(first))
    stage.work()
    assert not other
    stage.pool.release(worker_of(many[0]))
    stage.work()
    assert worker_of(other).tenant == "other"
    assert sum(map(len, many)) == 1


def test_a_place_is_held_for_who_waits_for_a_worker_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a tenant whose worker is at hand would take the place again and again."""
    stage = Stage(monkeypatch, workers=1, spares=0)
    first = stage.wait("many")
    stage.work()
    other = stage.wait("other")
    again = stage.wait("many")
    stage.pool.release(worker_of(first))
    assert not again
    stage.work()
    assert worker_of(other).tenant == "other"


def test_workers_that_cannot_be_started_are_an_error_and_are_not_tried_at_once_again(stage: Stage) -> None:
    stage.broken = True
    got = stage.wait()
    stage.work()
    assert isinstance(got[0], SandboxUnavailable)
    for _ in range(1000):
        (error,) = stage.wait()
        assert isinstance(error, SandboxUnavailable)
        stage.work()
    assert stage.attempts == 1


def test_attempts_grow_rarer_and_stay_so(stage: Stage) -> None:
    stage.broken = True
    seconds = 120
    for _ in range(seconds * 100):
        stage.wait()
        stage.work()
        stage.now += 0.01
    assert 2 * seconds / LONGEST_PAUSE > stage.attempts > 6


def test_what_was_broken_serves_again_after_the_pause(stage: Stage) -> None:
    stage.broken = True
    stage.wait()
    stage.work()
    stage.broken = False
    stage.now += LONGEST_PAUSE
    got = stage.wait()
    stage.work()
    assert worker_of(got)
    assert stage.pool._failures == 0


def test_one_failure_among_starts_that_succeed_delays_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, workers=3, spares=0)
    first, second = stage.wait("a"), stage.wait("b")
    stage.broken = True
    stage.work(1)
    stage.broken = False
    stage.work()
    assert sorted(type(got[0]).__name__ for got in (first, second)) == ["Actor", "SandboxUnavailable"]
    third = stage.wait("c")
    stage.work()
    assert worker_of(third).tenant == "c"


def test_where_no_worker_can_be_started_those_that_run_still_serve_their_tenant(stage: Stage) -> None:
    running = stage.wait("a")
    stage.work()
    stage.broken = True
    failed = stage.wait("b")
    stage.work()
    assert isinstance(failed[0], SandboxUnavailable)
    waiting = stage.wait("a")
    assert not waiting
    stage.pool.release(worker_of(running))
    assert worker_of(waiting) is worker_of(running)


def test_closing_ends_the_waiting_and_buries_every_worker(stage: Stage) -> None:
    one, two = stage.wait("a"), stage.wait("b")
    stage.work()
    waiting = stage.wait("c")
    stage.pool.release(worker_of(one))
    stage.pool.close()
    stage.pool.release(worker_of(two))
    assert isinstance(waiting[-1], SandboxError) or waiting[0].tenant == "c"
    assert all(worker_of(got).dead for got in (one, two))
    with pytest.raises(SandboxUnavailable):
        stage.pool.take("a", 64)


class PoolMachine(RuleBasedStateMachine):
    """Any order of calls, ends, deaths, arrivals, failures and withdrawals."""

    @initialize(workers=st.integers(1, 3), spares=st.integers(0, 2))
    def open(self, workers: int, spares: int) -> None:
        self.monkeypatch = pytest.MonkeyPatch()
        self.stage = Stage(self.monkeypatch, workers=workers, spares=spares)
        self.most, self.spares = workers, spares
        self.lent: list[tuple[str, int, Worker]] = []
        self.lines: list[tuple[Ticket, list[Any]]] = []
        self.first_tenant: dict[Worker, str] = {}

    def _lend(self, tenant: str, memory_bytes: int, worker: Worker) -> None:
        assert all(worker is not other for _, _, other in self.lent), "two callers have one worker"
        assert (worker.tenant, worker.memory_bytes) == (tenant, memory_bytes)
        assert self.first_tenant.setdefault(worker, tenant) == tenant, "a worker has changed its tenant"
        assert not worker.dead
        self.lent.append((tenant, memory_bytes, worker))

    def _collect(self) -> None:
        for ticket, got in list(self.lines):
            if got:
                self.lines.remove((ticket, got))
                if isinstance(got[0], Worker):
                    self._lend(ticket.tenant, ticket.memory_bytes, got[0])
                else:
                    assert isinstance(got[0], SandboxUnavailable)

    @rule(tenant=TENANTS, memory_bytes=MEMORY)
    def call(self, tenant: str, memory_bytes: int) -> None:
        worker = self.stage.pool.take(tenant, memory_bytes)
        if worker is not None:
            self._lend(tenant, memory_bytes, worker)
            return
        got: list[Any] = []
        self.lines.append((self.stage.pool.wait(tenant, memory_bytes, got.append), got))
        self._collect()

    @precondition(lambda self: self.lent)
    @rule(at=st.integers(0, 9), died=st.booleans())
    def end(self, at: int, *, died: bool) -> None:
        _, _, worker = self.lent.pop(at % len(self.lent))
        (self.stage.pool.retire if died else self.stage.pool.release)(worker)
        self._collect()

    @precondition(lambda self: self.lines)
    @rule(at=st.integers(0, 9))
    def give_up(self, at: int) -> None:
        ticket, got = self.lines.pop(at % len(self.lines))
        assert self.stage.pool.withdraw(ticket)
        assert not self.stage.pool.withdraw(ticket)
        assert not got
        self._collect()

    @rule(broken=st.booleans())
    def carry_out_an_order(self, *, broken: bool) -> None:
        self.stage.broken = broken
        self.stage.work(1)
        self.stage.broken = False
        self._collect()

    @rule(seconds=st.sampled_from([0.05, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.stage.now += seconds

    @invariant()
    def counts_hold(self) -> None:
        if not hasattr(self, "stage"):
            return
        pool = self.stage.pool
        assert len(pool._busy) == len(self.lent) <= self.most
        assert len(pool._busy) + len(pool._idle) <= self.most
        assert len(pool._spares) <= self.spares
        assert len(pool._starting) <= self.most + self.spares, "processes are ordered without a bound"
        assert sum(map(len, pool._waiting.values())) == len(self.lines)
        if self.lines and len(self.lent) < self.most:
            lent = {(tenant, memory_bytes) for tenant, memory_bytes, _ in self.lent}
            coming = all((ticket.tenant, ticket.memory_bytes) in lent for ticket, _ in self.lines)
            assert pool._starting or coming, "somebody waits beside a free place, and nothing is on its way"

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        # Whoever waits is served in the end, in whatever state the pool was left.
        for _ in range(len(self.lines) + len(self.lent) + 1):
            self.stage.now += LONGEST_PAUSE
            for _, _, worker in self.lent:
                self.stage.pool.release(worker)
            self.lent.clear()
            self.stage.work()
            self._collect()
        self.monkeypatch.undo()
        assert not self.lines


PoolMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase
