"""A2A 1.0 and 0.3: its objects, calls, errors and cards, and our extension of it."""

from negotiator.dialects.a2a.calls import (
    Call,
    Event,
    read_call,
    write_event,
    write_fault,
    write_result,
    write_sent,
)
from negotiator.dialects.a2a.card import Card, Interface, Offer, Skill, read_card, write_card
from negotiator.dialects.a2a.extension import URI
from negotiator.dialects.a2a.faults import FAULTS, Fault
from negotiator.dialects.a2a.numbers import restored, spelled
from negotiator.dialects.a2a.objects import Artifact, Message, Part, State, TaskView, Version
from negotiator.dialects.a2a.routes import Operation

__all__ = [
    "FAULTS",
    "URI",
    "Artifact",
    "Call",
    "Card",
    "Event",
    "Fault",
    "Interface",
    "Message",
    "Offer",
    "Operation",
    "Part",
    "Skill",
    "State",
    "TaskView",
    "Version",
    "read_call",
    "read_card",
    "restored",
    "spelled",
    "write_card",
    "write_event",
    "write_fault",
    "write_result",
    "write_sent",
]
