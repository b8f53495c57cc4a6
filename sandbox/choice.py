"""Which executor serves, and the functions that everybody calls.

The strongest that this machine has is taken: `locked` where its worker reaches `Level.MONTY` or more, else `monty`
where its extra is installed, else `locked` at whatever level there is. None runs what it was told to be too weak for.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Unpack

from sandbox.errors import SandboxUnavailable
from sandbox.executor import Executor, Level, Options

_LOG = logging.getLogger("sandbox")
_STILL = "mapping and native routines still serve, and executor=Trusted() runs code that a person has approved"

STRANGERS = Level.MONTY
"""The weakest level that programs steered by strangers run at, where nothing else was said: every probe of the
self-test is held at it and above."""


def _locked() -> Executor:
    from sandbox.locked import Locked  # noqa: PLC0415 - not importable on every platform

    return Locked()


def _monty() -> Executor:
    from sandbox.monty import Monty  # noqa: PLC0415 - an extra

    return Monty()


def _trusted() -> Executor:
    from sandbox.trusted import Trusted  # noqa: PLC0415 - on use

    return Trusted()


_MAKERS: dict[str, Callable[[], Executor]] = {"locked": _locked, "monty": _monty, "trusted": _trusted}
_making = threading.Lock()
_made: dict[str, Executor] = {}


def open_executor(name: str) -> Executor:
    """This process's executor of that name: `locked`, `monty` or `trusted`. One of each, made at the first call.

    Raises:
        ValueError: There is none of that name.
        SandboxUnavailable: It cannot be had on this platform, or its extra is missing; the message says which.
    """
    if name not in _MAKERS:
        raise ValueError(f"there is no executor named {name!r}; there are: {', '.join(_MAKERS)}")
    with _making:
        if name not in _made:
            _made[name] = _MAKERS[name]()
        return _made[name]


def default_executor(floor: Level = Level.PROCESS_ONLY) -> Executor:
    """The strongest executor of this machine for programs that nobody vouches for; never `trusted`.

    Starts a worker, to see what the kernel grants. Blocks for some tens of milliseconds at the first call.

    Raises:
        SandboxUnavailable: None reaches `floor`; the message says why, and what would help.
    """
    try:
        locked = open_executor("locked")
        level = locked.level
    except SandboxUnavailable as error:
        why = str(error)
    else:
        if level.meets(STRANGERS) and level.meets(floor):
            return locked
        why = f"locked reaches the level {level} here"
        if level.meets(floor) and not _installed():
            return locked
    if not Level.MONTY.meets(floor):
        raise SandboxUnavailable(f"no code runs here: {why}, and {floor} is asked for; {_STILL}")
    try:
        return open_executor("monty")
    except SandboxUnavailable as error:
        raise SandboxUnavailable(f"no code runs here: {why}; {error}; {_STILL}") from None


def _installed() -> bool:
    try:
        open_executor("monty")
    except SandboxUnavailable:
        return False
    return True


class AtLeast:
    """An executor that runs nothing below a level: the strongest of this machine, or one that was handed in.

    Chosen at the first need, and said once on the log `sandbox`: a warning where it is not `full`.

    Args:
        floor: The weakest level that will do.
        executor: The one to hold to it; `default_executor(floor)` where None.
    """

    def __init__(self, floor: Level = STRANGERS, executor: Executor | None = None) -> None:
        self.floor = floor
        self._given = executor
        self._chosen: Executor | None = None
        self._said = ""

    @property
    def name(self) -> str:
        """See `Executor.name`. Raises `SandboxUnavailable` where none will do."""
        return self.chosen().name

    @property
    def level(self) -> Level:
        """See `Executor.level`."""
        return self.chosen().level

    def chosen(self) -> Executor:
        """The executor behind this one.

        Raises:
            SandboxUnavailable: None reaches the level; the message is one line for a person.
        """
        if self._chosen is None:
            try:
                self._chosen = self._choose()
            except SandboxUnavailable as error:
                self._say(logging.WARNING, str(error))
                raise
            level = self._chosen.level
            self._say(
                logging.INFO if level is Level.FULL else logging.WARNING,
                f"code routines run in the executor {self._chosen.name}, at the level {level}",
            )
        return self._chosen

    def _choose(self) -> Executor:
        if self._given is None:
            return default_executor(self.floor)
        if not self._given.level.meets(self.floor):
            raise SandboxUnavailable(
                f"no code runs here: {self._given.name} is at the level {self._given.level}, and {self.floor} is asked for"
            )
        return self._given

    def _say(self, level: int, line: str) -> None:
        if line != self._said:
            self._said = line
            _LOG.log(level, "%s", line)

    def run(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.run`."""
        return self.chosen().run(source, data, **options)

    async def arun(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.arun`."""
        if self._chosen is None:
            import asyncio  # noqa: PLC0415 - on use: everybody imports this package

            await asyncio.to_thread(self.chosen)
        return await self.chosen().arun(source, data, **options)

    def check(self, source: str, *, entry: str = "handle") -> None:
        """See `sandbox.check`."""
        self.chosen().check(source, entry=entry)

    def close(self) -> None:
        """Nothing: what is behind this one belongs to the process, or to whoever made it."""


def run(source: str, data: Any, *, executor: Executor | None = None, **options: Unpack[Options]) -> Any:
    """Run `entry(data)` of a program that nobody vouches for.

    Every call starts with fresh globals. The program sees the tools as global functions; their arguments and
    results are copied as JSON, so nothing of the host's is shared.

    Args:
        source: Python, in the language that `sandbox.LANGUAGE` describes; at most 64 KiB.
        data: Plain JSON, at most 8 MiB of it.
        executor: Where to run; `default_executor()` where None.
        **options: `tools`, `limits`, `entry` and `tenant`; see `Options`.

    Returns:
        Plain finite JSON: dict, list, str, int, float, bool and None of exactly these types.

    Raises:
        SandboxError: Of the subclass that says whose fault it was.
    """
    return (executor or default_executor()).run(source, data, **options)


async def arun(source: str, data: Any, *, executor: Executor | None = None, **options: Unpack[Options]) -> Any:
    """As `run`, without blocking the event loop; tools may be async too, and sync ones run in the loop's thread.

    A cancelled call ends its worker process.
    """
    if executor is None:
        import asyncio  # noqa: PLC0415 - on use: everybody imports this package

        executor = await asyncio.to_thread(default_executor)
    return await executor.arun(source, data, **options)


def check(source: str, *, entry: str = "handle", executor: Executor | None = None) -> None:
    """Compile only, in a worker and never in this process.

    Raises:
        PolicyViolation: The source is not in the language; `violations` names the lines.
        SandboxError: Another failure.
    """
    (executor or default_executor()).check(source, entry=entry)
