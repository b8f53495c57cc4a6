"""Everything that can go wrong, by whose fault it is and what to do next.

    NegotiatorError
    |- UsageError              the caller of this library: correct the call
    |  |- MissingExtra           an optional package is not installed: install it
    |  `- NotPossible            no tier can serve this task here: the message says what would make it possible
    |     `- NoPeerSuits            no peer was named and none that is known does this: `looked_at` says why of each
    |- BadInput                a value does not fit its schema: correct the value
    |- NotAllowed              this caller may not do that: another principal may, or a wider authority table
    |- DeadlinePassed          the time given has run out
    |- PeerError               the other side
    |  |- PeerUnreachable        nothing was sent: safe to try again
    |  |- PeerHungUp             something was sent and no reply came
    |  |- PeerMisspoke           the reply is not what its dialect or schema allows
    |  |- PeerFailed             the peer answered that it failed
    |  |  `- InputRequired          it asks for something that the task did not say: the message is its question
    |  |- HumanAuthorizationRequired  a person has to agree to the call first: nothing was sent
    |  |- TooLarge               the request is more than the peer takes: nothing was done; send less at once
    |  |- DefinitionChanged      the peer says something else of a tool than what was approved: look, and approve it
    |  `- PeerRejected           the peer does not use this document
    |- ToolFailed              a person's own tool raised: see `__cause__`
    |- RoutineFailed           a routine failed and no lower tier may take over
    |- OutcomeUnknown          a transactional request was sent and no reply came: ask the peer, do not repeat
    |- EffectsAlreadyMade      a fallback would have repeated an effect: ended instead
    |- BudgetSpent             a cap on rounds, tokens, money or time was reached
    |- Overloaded              too much work is under way: try again later
    `- ModelError              the language model
       |- ModelUnavailable       it did not answer (address, key, rate, time)
       `- ModelMisspoke          it answered, twice, something that is not what was asked

Errors of documents and of the sandbox have trees of their own (`protocol_docs.errors`, `sandbox.errors`).
`code` is the word that dialects translate for a peer; a peer never sees the message itself, but for
`ToolFailed.for_peer`.
"""

from typing import ClassVar


class NegotiatorError(Exception):
    """The root of this package's errors."""

    code: ClassVar[str] = "internal_error"
    """A stable machine-readable word; the dialects' error tables are keyed by it."""
    message: ClassVar[str] = "something failed"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class UsageError(NegotiatorError):
    """The library was called in a way it does not offer."""

    code = "usage_error"


class MissingExtra(UsageError):
    """An optional package is needed and not installed; the message holds the words that install it."""

    code = "missing_extra"


class NotPossible(UsageError):
    """No tier can serve this task with what is at hand."""

    code = "not_possible"


class NoPeerSuits(NotPossible):
    """No peer was named, and none that is known does the task. `looked_at` lists (address, why not)."""

    code = "no_peer_suits"

    def __init__(self, message: str | None = None, looked_at: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.looked_at = looked_at


class BadInput(NegotiatorError):
    """A value does not fit its schema. `violations` lists (JSON Pointer, what is wrong)."""

    code = "bad_input"
    message = "the value does not fit its schema"

    def __init__(self, message: str | None = None, violations: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.violations = violations


class NotAllowed(NegotiatorError):
    """No line of the authority table allows this to this caller. Nothing was done."""

    code = "not_allowed"
    message = "this caller may not do that"


class DeadlinePassed(NegotiatorError):
    """The time given for this request has run out."""

    code = "deadline_passed"
    message = "the deadline of this request has passed"


class PeerError(NegotiatorError):
    """The other side is at fault."""

    code = "peer_error"


class PeerUnreachable(PeerError):
    """No byte reached the peer; trying again repeats nothing."""

    code = "peer_unreachable"


class PeerHungUp(PeerError):
    """Bytes left and no whole reply came."""

    code = "peer_hung_up"


class PeerMisspoke(PeerError):
    """The peer's bytes are not what its dialect, document or schema allows."""

    code = "peer_misspoke"


class PeerFailed(PeerError):
    """The peer says that it failed; the message is its own text, cut to 300 characters."""

    code = "peer_failed"


class InputRequired(PeerFailed):
    """The peer asks for something more before it does the task; the message is its question, cut to 300 characters."""

    code = "input_required"


class HumanAuthorizationRequired(PeerError):
    """The peer wants a person to agree to this call, and none has: nothing was sent. See `Agent(authorize=...)`."""

    code = "human_authorization_required"


class DefinitionChanged(PeerError):
    """The peer says something else of a tool than what was approved: nothing was sent."""

    code = "definition_changed"
    message = "the peer changed the definition of a tool"


class TooLarge(PeerError):
    """The request has more bytes than the peer takes: nothing was done. Ask for less at once, or hand files over by
    reference.
    """

    code = "too_large_for_peer"
    message = "the request is larger than what the peer takes"


class PeerRejected(PeerError):
    """The peer does not use the protocol document that was named."""

    code = "peer_rejected"


class ToolFailed(NegotiatorError):
    """A tool raised. Raise it from a tool oneself to have `for_peer` shown to the caller."""

    code = "tool_failed"
    message = "a tool failed"

    def __init__(self, message: str | None = None, for_peer: str | None = None) -> None:
        super().__init__(message or for_peer)
        self.for_peer = for_peer


class RoutineFailed(NegotiatorError):
    """A routine failed, was taken out of service, and no lower tier could take over."""

    code = "routine_failed"
    message = "a routine failed and no lower tier could take over"


class OutcomeUnknown(NegotiatorError):
    """A transactional request left and no reply came: whether it took effect is not known."""

    code = "outcome_unknown"
    message = "the request was sent and no reply came; whether it took effect is not known"


class EffectsAlreadyMade(NegotiatorError):
    """Going on would repeat an effect that this request has already made."""

    code = "effects_already_made"
    message = "an effect was made and what follows it failed; it was not repeated"


class BudgetSpent(NegotiatorError):
    """A cap on rounds, tokens, money or time was reached."""

    code = "budget_spent"


class Overloaded(NegotiatorError):
    """Too much work is under way. `retry_after` is in seconds."""

    code = "overloaded"
    message = "too much work is under way"

    def __init__(self, message: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelError(NegotiatorError):
    """The language model."""

    code = "model_error"


class ModelUnavailable(ModelError):
    """The model gave no answer: wrong address or key, rate limit, or time."""

    code = "model_unavailable"


class ModelMisspoke(ModelError):
    """The model answered and, repaired once, its answer still is not what was asked."""

    code = "model_misspoke"
