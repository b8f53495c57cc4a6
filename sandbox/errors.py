"""What can go wrong in a sandbox, by whose fault it is.

    SandboxError
    |- PolicyViolation     the source is not in the language of handlers; the lines are named   (repairable)
    |- HandlerFailed       the handler raised, or its result is not plain JSON                  (repairable)
    |- LimitExceeded       time, memory, output or tool calls ran out; `limit` says which
    |- WorkerDied          the handler's process died: it tried what the system's locks forbid, or it crashed
    |- NotPlain            the caller's data or a tool's result is not plain JSON: the host's fault
    |- RoutineRefused      the routine cache does not take this entry: too large, or too many
    |  `- SecretsUnusable    nothing can be signed or checked: the file of secrets is not this user's alone
    `- SandboxUnavailable  there is no executor that can serve here: the host's fault
       `- SandboxBusy        every worker was busy for longer than a call may wait

`repairable` says whether the author of the source, a language model mostly, can do better when shown the error.
"""

from typing import ClassVar

TEXT_LIMIT = 300
"""Characters of a stranger's error text that are kept."""


class SandboxError(Exception):
    """The root of this package's errors."""

    code: ClassVar[str] = "sandbox_error"
    """A stable machine-readable word."""
    repairable: ClassVar[bool] = False
    """True where the source's author can correct it."""


class PolicyViolation(SandboxError):
    """The source is not in the language of handlers.

    Attributes:
        violations: (line, what is wrong); the line is None where the fault has no line. At most 20.
    """

    code = "policy_violation"
    repairable = True

    def __init__(self, violations: tuple[tuple[int | None, str], ...]) -> None:
        self.violations = violations
        super().__init__("; ".join(f"line {line}: {what}" if line else what for line, what in violations))


class HandlerFailed(SandboxError):
    """The handler raised an error, or its result is not plain JSON.

    Attributes:
        line: The line of the source where it happened, if known.
    """

    code = "handler_failed"
    repairable = True

    def __init__(self, message: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(message[:TEXT_LIMIT])


class LimitExceeded(SandboxError):
    """A limit of the call was reached.

    Attributes:
        limit: `wall_s`, `memory_bytes`, `output_bytes` or `tool_calls`, as in `Limits`.
    """

    code = "limit_exceeded"

    def __init__(self, limit: str, message: str) -> None:
        self.limit = limit
        super().__init__(message[:TEXT_LIMIT])


class WorkerDied(SandboxError):
    """The worker process died during the call: a forbidden system call, or a crash of the interpreter."""

    code = "worker_died"


class NotPlain(SandboxError):
    """What the host handed in, data or a tool's result, is not plain finite JSON."""

    code = "not_plain"


class RoutineRefused(SandboxError):
    """The routine cache takes no such entry: it is too large, or the cache holds its most."""

    code = "routine_refused"


class SecretsUnusable(RoutineRefused):
    """The file of secrets cannot be used; the message says why, and is for the owner of this process."""

    code = "secrets_unusable"


class SandboxUnavailable(SandboxError):
    """No executor can serve here; the message says what would help."""

    code = "sandbox_unavailable"


class SandboxBusy(SandboxUnavailable):
    """Every worker was busy for longer than a call may wait."""

    code = "sandbox_busy"


class ToolError(Exception):
    """What a host's tool raises to tell the handler that it failed.

    The handler sees it under the same name and may catch it; uncaught, it becomes `HandlerFailed`. Any
    other exception of a tool ends the call and reaches the caller as the same object.
    """
