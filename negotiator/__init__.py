"""Decides and drives: a just-in-time compiler for communication between agents.

The path of one request, file by file: `ask` (the sender), `plan` (which tier), `negotiate` (a document is agreed),
`synthesis` (a routine is made), `shadow` (it earns its verdict), `answer` (the receiver).

What it exports is loaded when it is first asked for: a program that may never need an agent starts at once.
"""

from typing import TYPE_CHECKING

from negotiator.exports import on_demand

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
        TooLarge,
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
    "TooLarge",
    "Tool",
    "ToolFailed",
    "UsageError",
    "current_context",
]

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "agent": ("Agent",),
        "context": ("Context", "current_context"),
        "errors": (
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
            "TooLarge",
            "ToolFailed",
            "UsageError",
        ),
        "events": ("Partial", "Progress", "Result", "TierChosen"),
        "files": ("FileMissing", "FileRef"),
        "outcome": ("Outcome", "Step"),
        "plan": ("CostPolicy",),
        "schemas": ("Schema",),
        "stream": ("Stream",),
        "task": ("Task", "Tool"),
    },
)
