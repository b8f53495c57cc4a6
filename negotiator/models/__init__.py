"""Language models behind one small port. See `negotiator.models.base` for the port, `open_model` for the rest."""

from negotiator.models.asking import Answer, Question, ask_model, quoted
from negotiator.models.base import Completion, Message, Model, Usage
from negotiator.models.none import NoModel, is_none
from negotiator.models.opening import open_model
from negotiator.models.prices import price_of
from negotiator.models.priority import in_background
from negotiator.models.recorded import RecordedModel, RecordingModel
from negotiator.models.scripted import CutOff, InTurn, Refused, ScriptedModel, Slow, UnknownPrompt

__all__ = [
    "Answer",
    "Completion",
    "CutOff",
    "InTurn",
    "Message",
    "Model",
    "NoModel",
    "Question",
    "RecordedModel",
    "RecordingModel",
    "Refused",
    "ScriptedModel",
    "Slow",
    "UnknownPrompt",
    "Usage",
    "ask_model",
    "in_background",
    "is_none",
    "open_model",
    "price_of",
    "quoted",
]
