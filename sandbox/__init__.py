r"""Compiles and runs generated handlers: Python that nobody vouches for, behind two independent walls.

    >>> import sandbox
    >>> sandbox.run("def handle(data):\n    return data['a'] + 1", {"a": 1})
    2

`run` and `arun` are the entry points; `Limits` bounds a call; every failure is a `SandboxError`.
"""

from sandbox.choice import STRANGERS, AtLeast, arun, check, default_executor, open_executor, run
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
from sandbox.executor import Executor, Level, Options, Tools
from sandbox.inside import POLICY_VERSION
from sandbox.language import LANGUAGE
from sandbox.limits import Limits
from sandbox.selftest import Probe, Report, self_test

__all__ = [
    "LANGUAGE",
    "POLICY_VERSION",
    "STRANGERS",
    "AtLeast",
    "Executor",
    "HandlerFailed",
    "Level",
    "LimitExceeded",
    "Limits",
    "NotPlain",
    "Options",
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
    "open_executor",
    "run",
    "self_test",
]
