"""Decides and drives: a just-in-time compiler for communication between agents.

The path of one request, file by file: `ask` (the sender), `plan` (which tier), `negotiate` (a document is agreed),
`synthesis` (a routine is made), `shadow` (it earns its verdict), `answer` (the receiver).

What it exports is loaded when it is first asked for: a program that may never need an agent starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from negotiator.agent import Agent
    from negotiator.context import Context, current_context
    from negotiator.errors import (
        BadInput,
        BudgetSpent,
        DeadlinePassed,
        DefinitionChanged,
        EffectsAlreadyMade,
        HumanAuthorizationRequired,
        InputRequired,
        MissingExtra,
        ModelError,
        ModelMisspoke,
        ModelUnavailable,
        NegotiatorError,
        NotPossible,
        OutcomeUnknown,
        Overloaded,
        PeerError,
        PeerFailed,
        PeerHungUp,
        PeerMisspoke,
        PeerRejected,
        PeerUnreachable,
        RoutineFailed,
        ToolFailed,
        UsageError,
    )
    from negotiator.events import Partial, Progress, Result, TierChosen
    from negotiator.files import FileMissing, FileRef
    from negotiator.outcome import Outcome, Step
    from negotiator.plan import CostPolicy
    from negotiator.schemas import Schema
    from negotiator.stream import Stream
    from negotiator.task import Task, Tool

__all__ = [
    "Agent",
    "BadInput",
    "BudgetSpent",
    "Context",
    "CostPolicy",
    "DeadlinePassed",
    "DefinitionChanged",
    "EffectsAlreadyMade",
    "FileMissing",
    "FileRef",
    "HumanAuthorizationRequired",
    "InputRequired",
    "MissingExtra",
    "ModelError",
    "ModelMisspoke",
    "ModelUnavailable",
    "NegotiatorError",
    "NotPossible",
    "Outcome",
    "OutcomeUnknown",
    "Overloaded",
    "Partial",
    "PeerError",
    "PeerFailed",
    "PeerHungUp",
    "PeerMisspoke",
    "PeerRejected",
    "PeerUnreachable",
    "Progress",
    "Result",
    "RoutineFailed",
    "Schema",
    "Step",
    "Stream",
    "Task",
    "TierChosen",
    "Tool",
    "ToolFailed",
    "UsageError",
    "current_context",
]

_WHERE = {
    "negotiator.agent": ("Agent",),
    "negotiator.context": ("Context", "current_context"),
    "negotiator.errors": (
        "BadInput",
        "BudgetSpent",
        "DeadlinePassed",
        "DefinitionChanged",
        "EffectsAlreadyMade",
        "HumanAuthorizationRequired",
        "InputRequired",
        "MissingExtra",
        "ModelError",
        "ModelMisspoke",
        "ModelUnavailable",
        "NegotiatorError",
        "NotPossible",
        "OutcomeUnknown",
        "Overloaded",
        "PeerError",
        "PeerFailed",
        "PeerHungUp",
        "PeerMisspoke",
        "PeerRejected",
        "PeerUnreachable",
        "RoutineFailed",
        "ToolFailed",
        "UsageError",
    ),
    "negotiator.events": ("Partial", "Progress", "Result", "TierChosen"),
    "negotiator.files": ("FileMissing", "FileRef"),
    "negotiator.outcome": ("Outcome", "Step"),
    "negotiator.plan": ("CostPolicy",),
    "negotiator.schemas": ("Schema",),
    "negotiator.stream": ("Stream",),
    "negotiator.task": ("Task", "Tool"),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
