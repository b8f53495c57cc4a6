"""Decides and drives: a just-in-time compiler for communication between agents.

The path of one request, file by file: `ask` (the sender), `plan` (which tier), `negotiate` (a document is agreed),
`synthesis` (a routine is made), `shadow` (it earns its verdict), `answer` (the receiver).
"""

from negotiator.agent import Agent
from negotiator.errors import (
    BadInput,
    BudgetSpent,
    DeadlinePassed,
    DefinitionChanged,
    EffectsAlreadyMade,
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
from negotiator.outcome import Outcome, Step
from negotiator.plan import CostPolicy
from negotiator.schemas import Schema
from negotiator.task import Task, Tool

__all__ = [
    "Agent",
    "BadInput",
    "BudgetSpent",
    "CostPolicy",
    "DeadlinePassed",
    "DefinitionChanged",
    "EffectsAlreadyMade",
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
    "PeerError",
    "PeerFailed",
    "PeerHungUp",
    "PeerMisspoke",
    "PeerRejected",
    "PeerUnreachable",
    "RoutineFailed",
    "Schema",
    "Step",
    "Task",
    "Tool",
    "ToolFailed",
    "UsageError",
]
