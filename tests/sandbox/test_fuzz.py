"""Programs made by grammar against both walls and against each alone, with canaries all around.

`FUZZ_PROGRAMS` programs a wall, from seed `FUZZ_SEED` on, each wall its own; which and how they ended is printed:

    FUZZ_PROGRAMS=200000 python -m pytest tests/sandbox/test_fuzz.py -q -s -o faulthandler_timeout=0

The limits and the deadline are on in each. The canaries of the host are a file, an environment variable, a listening
socket, a global of this module, an attribute of the tool's function, and its clock. Where the language stands alone,
the worker is full of canaries too, and an audit hook in it reports every use of the interpreter's insides on the way:
that nothing was used is more than that nothing was brought home.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import sandbox
from sandbox.locked import Locked
from tests.sandbox.grammar import Writer
from tests.sandbox.shore import CANARY, SYSTEM_ALONE, Shore, language_alone

PROGRAMS = int(os.environ.get("FUZZ_PROGRAMS", "250"))
FIRST = int(os.environ.get("FUZZ_SEED", "0"))
REPORT_EVERY = 5_000
LIMITS = sandbox.Limits(wall_s=0.15, memory_bytes=48 * 1024 * 1024, output_bytes=1 << 18, tool_calls=8)


def test_no_program_gets_past_both_walls(shore: Shore) -> None:
    with_both = Locked(workers=1, spares=2)
    ended = fuzz(with_both, shore, FIRST, "both walls", tells_no_time=True)
    assert ended["returned"] > PROGRAMS // 3, "a grammar that is always refused tries nothing"


def test_no_program_gets_past_the_language(shore: Shore) -> None:
    # Other seeds than those that both walls were tried with.
    ended = fuzz(language_alone(shore), shore, FIRST + PROGRAMS, "the language alone", tells_no_time=True)
    assert ended["returned"] > PROGRAMS // 3
    assert ended["WorkerDied"] == 0


def test_no_program_gets_past_the_system(shore: Shore) -> None:
    # A clock is read without a system call: no process can be kept from it by the system.
    executor = Locked(workers=1, spares=2, _bootstrap=SYSTEM_ALONE)
    ended = fuzz(executor, shore, FIRST + 2 * PROGRAMS, "the system alone", tells_no_time=False)
    assert ended["returned"] > PROGRAMS // 3
    assert ended["PolicyViolation"] == 0


def fuzz(executor: Locked, shore: Shore, first: int, wall: str, *, tells_no_time: bool) -> Counter[str]:
    """Run the programs; how many ended in which way."""
    ended: Counter[str] = Counter()
    look = shore.tool()
    began = time.monotonic()
    try:
        for seed in range(first, first + PROGRAMS):
            outcome = attempt(executor, Writer(seed).program(), shore, look)
            brought = repr((outcome, shore.looked))
            shore.looked.clear()
            assert CANARY not in brought, seed
            assert not tells_no_time or time_now() not in brought, seed
            assert not (touched := shore.touched()), (seed, touched)
            assert isinstance(outcome, sandbox.SandboxError) or is_plain(outcome), seed
            assert not isinstance(outcome, sandbox.SandboxUnavailable), seed
            ended[type(outcome).__name__ if isinstance(outcome, sandbox.SandboxError) else "returned"] += 1
            if (seed - first + 1) % REPORT_EVERY == 0 or seed == first + PROGRAMS - 1:
                spent = time.monotonic() - began
                print(f"\n{wall}: seeds {first} to {seed}, {spent:.0f} s: {dict(ended)}", flush=True)  # noqa: T201
    finally:
        executor.close()
    return ended


def time_now() -> str:
    """The day, as any way of reading the clock would say it in seconds."""
    return str(int(time.time()))[:6]


def attempt(executor: Locked, source: str, shore: Shore, look: Callable[..., Any]) -> Any:
    data = {"file": str(shore.file), "k": [1], "port": shore.port}
    try:
        return executor.run(source, data, tools={"look": look}, limits=LIMITS)
    except sandbox.SandboxError as error:
        return error


def is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return type(value) in {str, int, float, bool, type(None)}
