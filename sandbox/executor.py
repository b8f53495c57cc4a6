"""The executor port: what runs a handler, how strong its wall is, what a call is made of."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias, TypedDict, Unpack, runtime_checkable

from sandbox.limits import DEFAULT_LIMITS, Limits

Tools: TypeAlias = Mapping[str, Callable[..., Any]]
"""What a handler may call, by the name it calls it. A tool gets plain JSON and returns plain JSON."""


class Level(StrEnum):
    """How strong the wall around a handler is, strongest first."""

    FULL = "full"
    """A process of its own under resource limits, seccomp and Landlock."""
    NO_LANDLOCK = "no_landlock"
    """As `full`, and the kernel refused Landlock; seccomp alone holds every probe of the self-test."""
    MONTY = "monty"
    """An interpreter that has no way to the host, in a process of its own without the system's locks."""
    NO_SECCOMP = "no_seccomp"
    """As `full`, and the kernel refused seccomp: no files and no TCP, but other system calls are in reach."""
    PROCESS_ONLY = "process_only"
    """A process of its own under resource limits."""
    TRUSTED = "trusted"
    """No process of its own: the language alone, no limit on time or memory."""

    def meets(self, floor: "Level") -> bool:
        """True where this level is `floor` or stronger."""
        order = list(Level)
        return order.index(self) <= order.index(floor)


class Options(TypedDict, total=False):
    """What a call may be given beside its program and its data."""

    tools: Tools | None
    """Functions by name. Raise `ToolError` in one to give the handler an error it may catch; any other exception ends
    the call and is raised from it as the same object."""
    limits: Limits | None
    """What the call may use; `Limits()` where None."""
    entry: str
    """The function to call, with one argument; `handle` by default."""
    tenant: str
    """Whom the program belongs to, an opaque text: a worker process never serves two tenants."""


class Call(NamedTuple):
    """One call, as the caller gave it: what each executor makes of its arguments, so that all take the same."""

    source: str
    data: Any
    tools: Tools | None = None
    limits: Limits | None = None
    entry: str = "handle"
    tenant: str = ""

    def require_names(self) -> None:
        """Raises `ValueError` where the entry or a tool has no name that a handler may say."""
        for name in (self.entry, *(self.tools or ())):
            if not name.isidentifier() or name.startswith("_"):
                raise ValueError(f"{name!r} is not a name without a leading underscore, as entries and tools have")

    @property
    def held_to(self) -> Limits:
        """The limits, or those of every call."""
        return self.limits or DEFAULT_LIMITS


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

    def run(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """As `sandbox.run`."""
        ...

    async def arun(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """As `sandbox.arun`."""
        ...

    def check(self, source: str, *, entry: str = "handle") -> None:
        """As `sandbox.check`."""
        ...

    def close(self) -> None:
        """Release what the executor holds; calls under way end in `SandboxUnavailable`. May be called twice."""
        ...
