"""A worker without the language's wall: what the self-test and the tests try the system's wall with."""

import builtins
import types

from sandbox.inside.policy import FILENAME
from sandbox.inside.program import Language
from sandbox.inside.worker import serve


def _compile(source: str) -> types.CodeType:
    return compile(source, FILENAME, "exec")


PYTHON = Language(_compile, vars(builtins))
"""All of Python."""


def serve_anything() -> None:
    """As `worker.serve`, for any Python."""
    serve(PYTHON)
