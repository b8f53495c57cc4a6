r"""Compiles and runs generated handlers: Python that nobody vouches for, behind two independent walls.

    >>> import sandbox
    >>> sandbox.run("def handle(data):\n    return data['a'] + 1", {"a": 1})
    2

`run` and `arun` are the entry points; `Limits` bounds a call; every failure is a `SandboxError`.
"""

from sandbox.errors import (
    HandlerFailed,
    LimitExceeded,
    NotPlain,
    PolicyViolation,
    RoutineRefused,
    SandboxBusy,
    SandboxError,
    SandboxUnavailable,
    ToolError,
    WorkerDied,
)
from sandbox.executor import Executor, Level, Tools, arun, check, default_executor, run
from sandbox.inside import POLICY_VERSION
from sandbox.language import LANGUAGE
from sandbox.limits import Limits
from sandbox.selftest import Probe, Report, self_test

__all__ = [
    "LANGUAGE",
    "POLICY_VERSION",
    "Executor",
    "HandlerFailed",
    "Level",
    "LimitExceeded",
    "Limits",
    "NotPlain",
    "PolicyViolation",
    "Probe",
    "Report",
    "RoutineRefused",
    "SandboxBusy",
    "SandboxError",
    "SandboxUnavailable",
    "ToolError",
    "Tools",
    "WorkerDied",
    "arun",
    "check",
    "default_executor",
    "run",
    "self_test",
]
