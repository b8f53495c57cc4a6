"""Declarative field mappings between two JSON Schemas: infer them, check them, compile them to closures.

Pure: no I/O, no clock, no randomness. What rules cannot decide becomes a question for a model, as data.
"""

from negotiator.mapping.examples import Examples
from negotiator.mapping.form import Conversion, FieldMapping, Mapping, Part
from negotiator.mapping.inference import infer, infer_pair
from negotiator.mapping.problem import Thresholds
from negotiator.mapping.question import MappingQuestion, merge, question_for
from negotiator.mapping.result import Inference, Match, PairInference

__all__ = [
    "Conversion",
    "Examples",
    "FieldMapping",
    "Inference",
    "Mapping",
    "MappingQuestion",
    "Match",
    "PairInference",
    "Part",
    "Thresholds",
    "infer",
    "infer_pair",
    "merge",
    "question_for",
]
