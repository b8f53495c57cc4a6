"""The executor port, and the two functions that everybody calls."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, runtime_checkable

from sandbox.limits import Limits

Tools: TypeAlias = Mapping[str, Callable[..., Any]]
"""What a handler may call, by the name it calls it. A tool gets plain JSON and returns plain JSON."""


class Level(StrEnum):
    """How strong the wall around a handler is, strongest first."""

    FULL = "full"
    """A process of its own under resource limits, seccomp and Landlock."""
    NO_LANDLOCK = "no_landlock"
    """As `full`, and the kernel refused Landlock."""
    NO_SECCOMP = "no_seccomp"
    """As `full`, and the kernel refused seccomp."""
    PROCESS_ONLY = "process_only"
    """A process of its own under resource limits."""
    TRUSTED = "trusted"
    """No process of its own: the language alone, no limit on time or memory."""

    def meets(self, floor: "Level") -> bool:
        """True where this level is `floor` or stronger."""
        order = list(Level)
        return order.index(self) <= order.index(floor)


@runtime_checkable
class Executor(Protocol):
    """Runs handlers. `sandbox.conformance.check_executor` says whether an implementation keeps the contract."""

    @property
    def name(self) -> str:
        """A stable word, shown in traces."""
        ...

    @property
    def level(self) -> Level:
        """The level that was reached here. Raises `SandboxUnavailable` where the executor cannot serve at all."""
        ...

    def run(
        self,
        source: str,
        data: Any,
        *,
        tools: Tools | None = None,
        limits: Limits | None = None,
        entry: str = "handle",
        tenant: str = "",
    ) -> Any:
        """As `sandbox.run`."""
        ...

    async def arun(
        self,
        source: str,
        data: Any,
        *,
        tools: Tools | None = None,
        limits: Limits | None = None,
        entry: str = "handle",
        tenant: str = "",
    ) -> Any:
        """As `sandbox.arun`."""
        ...

    def check(self, source: str, *, entry: str = "handle") -> None:
        """As `sandbox.check`."""
        ...

    def close(self) -> None:
        """Release what the executor holds; calls under way end in `SandboxUnavailable`. May be called twice."""
        ...


_default: Executor | None = None


def default_executor() -> Executor:
    """The executor of this process for untrusted handlers, made at the first call: `locked`.

    Raises:
        SandboxUnavailable: This platform has none; the message says which alternatives there are.
    """
    global _default  # noqa: PLW0603 - one pool of workers a process
    if _default is None:
        from sandbox.locked import Locked  # noqa: PLC0415 - not importable on every platform

        _default = Locked()
    return _default


def run(
    source: str,
    data: Any,
    *,
    tools: Tools | None = None,
    limits: Limits | None = None,
    entry: str = "handle",
    tenant: str = "",
    executor: Executor | None = None,
) -> Any:
    """Run `entry(data)` of a program that nobody vouches for.

    Every call starts with fresh globals. The program sees the tools as global functions; their arguments and
    results are copied as JSON, so nothing of the host's is shared.

    Args:
        source: Python, in the language that `sandbox.inside.policy` describes; at most 64 KiB.
        data: Plain JSON, at most 8 MiB of it.
        tools: Functions by name. Raise `ToolError` in one to give the handler an error it may catch; any other
            exception ends the call and is raised here as the same object.
        limits: What the call may use; `Limits()` where None.
        entry: The function to call, with one argument.
        tenant: Whom the program belongs to, an opaque text: a worker process never serves two tenants.
        executor: Where to run; `default_executor()` where None.

    Returns:
        Plain finite JSON: dict, list, str, int, float, bool and None of exactly these types.

    Raises:
        SandboxError: Of the subclass that says whose fault it was.
    """
    chosen = executor or default_executor()
    return chosen.run(source, data, tools=tools, limits=limits, entry=entry, tenant=tenant)


async def arun(
    source: str,
    data: Any,
    *,
    tools: Tools | None = None,
    limits: Limits | None = None,
    entry: str = "handle",
    tenant: str = "",
    executor: Executor | None = None,
) -> Any:
    """As `run`, without blocking the event loop; tools may be async too, and sync ones run in the loop's thread.

    A cancelled call ends its worker process.
    """
    chosen = executor or default_executor()
    return await chosen.arun(source, data, tools=tools, limits=limits, entry=entry, tenant=tenant)


def check(source: str, *, entry: str = "handle", executor: Executor | None = None) -> None:
    """Compile only, in a worker and never in this process.

    Raises:
        PolicyViolation: The source is not in the language; `violations` names the lines.
        SandboxError: Another failure.
    """
    (executor or default_executor()).check(source, entry=entry)
