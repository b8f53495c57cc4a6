"""Exit codes, and which error ends in which."""

from typing import Final

from negotiator.errors import (
    BadInput,
    DeadlinePassed,
    MissingExtra,
    ModelUnavailable,
    NegotiatorError,
    NotPossible,
    OutcomeUnknown,
    Overloaded,
    PeerUnreachable,
    TooLarge,
    UsageError,
)
from protocol_docs.errors import DocumentError, MalformedHash, StoreUnusable
from sandbox.errors import SandboxError, SandboxUnavailable

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_HERE: Final = 3
UNKNOWN: Final = 4
AGAIN: Final = 5
INTERRUPTED: Final = 130

MEANINGS: Final = {
    OK: "done",
    FAILED: "it was tried and failed: the peer, the task, or a check",
    USAGE: "the command was called wrongly, or a value does not fit",
    NOT_HERE: "not possible here: an extra, a model, a store or a sandbox is missing; the message says which",
    UNKNOWN: "the outcome is unknown: the request may have taken effect; ask before repeating it",
    AGAIN: "not done, and trying again repeats nothing: the peer is out of reach or busy, or the time ran out",
    INTERRUPTED: "interrupted",
}

_BY_ERROR: Final[tuple[tuple[type[Exception], int], ...]] = (
    # The first that fits; an error stands before its own base.
    (OutcomeUnknown, UNKNOWN),
    (PeerUnreachable, AGAIN),
    (Overloaded, AGAIN),
    (DeadlinePassed, AGAIN),
    (MissingExtra, NOT_HERE),
    (NotPossible, NOT_HERE),
    (ModelUnavailable, NOT_HERE),
    (StoreUnusable, NOT_HERE),
    (SandboxUnavailable, NOT_HERE),
    (UsageError, USAGE),
    (BadInput, USAGE),
    (TooLarge, USAGE),
    (MalformedHash, USAGE),
)

EXPECTED: Final = (NegotiatorError, DocumentError, SandboxError)
"""Errors that a person can do something about: one line, no traceback."""


def exit_code_of(error: Exception) -> int:
    """The exit code that an expected error ends in."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILED)


def table() -> str:
    """The exit codes for `--help`."""
    return "\n".join(f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items())
