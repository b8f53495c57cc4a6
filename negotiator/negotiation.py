"""The negotiation dialogue as a transition table, and its messages.

    opener                                 responder
    ------                                 ---------
    opening  ------------------------->
             <-------------------------    answer (accepted | rejected | needs_more_information)
    counter  ------------------------->                      zero or more, capped
             <-------------------------    answer
    agreement ------------------------>
             <-------------------------    agreed

An agreement is on a hash, confirmed by both sides with a digest of the whole result. The messages are those of
the dialogue document in `protocol_docs.catalog`; other dialects project theirs onto them. Pure.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Effect, Tier

MAX_TEXT: Final = 4_000
"""Characters of any one sentence of a peer's."""
MAX_DOCUMENT: Final = 262_144
"""Characters of a document carried in a message."""


# Built for the first negotiation: most processes begin without one.
_LATE: Final = ConfigDict(defer_build=True)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


Short = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
NegotiationId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Hash = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Intent(_Part):
    """What the opener wants done."""

    name: Short
    description: Text
    tags: Annotated[tuple[Short, ...], Field(max_length=32)] = ()
    effect: Effect = "transactional"
    input_summary: Text = ""
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None


class Capabilities(_Part):
    """What the opener's side can do."""

    dialects: Annotated[tuple[Short, ...], Field(max_length=32)] = ()
    tiers: Annotated[tuple[Tier, ...], Field(max_length=3)] = ()
    content_types: Annotated[tuple[Short, ...], Field(max_length=32)] = ("application/json",)
    max_body_bytes: Annotated[int, Field(ge=0)] = 1_048_576


class Constraints(_Part):
    """What the opener will not go beyond."""

    max_seconds: Annotated[float, Field(ge=0)] | None = None
    max_usd: Annotated[float, Field(ge=0)] | None = None
    natural_language: bool = True
    human_authorization: bool = False


class Opening(_Part):
    """The first message."""

    type: Literal["opening"] = "opening"
    id: NegotiationId
    intent: Intent
    capabilities: Capabilities = Capabilities()
    constraints: Constraints = Constraints()
    candidates: Annotated[tuple[Hash, ...], Field(max_length=64)] = ()
    """Documents that the opener would use as they are."""


ObjectionKind: TypeAlias = Literal[
    "missing_field",
    "extra_required_field",
    "type_mismatch",
    "unit_mismatch",
    "effect_mismatch",
    "unclear",
    "other",
]


class Objection(_Part):
    """One thing that stands in the way."""

    kind: ObjectionKind
    pointer: Short = ""
    """JSON Pointer into the document's request or reply schema."""
    detail: Text = ""


class Counter(_Part):
    """The opener's objections, with the document it would accept, if it has one."""

    type: Literal["counter"] = "counter"
    id: NegotiationId
    round: Annotated[int, Field(ge=1, le=100)]
    objections: Annotated[tuple[Objection, ...], Field(max_length=64)] = ()
    document: Annotated[str, Field(max_length=MAX_DOCUMENT)] | None = None


class Agreement(_Part):
    """The opener agrees."""

    type: Literal["agreement"] = "agreement"
    id: NegotiationId
    protocol_hash: Hash
    digest: Short


class Selected(_Part):
    """What the responder proposes to use."""

    protocol_hash: Hash
    tier: Tier = "structured"
    """The tier at which the responder expects to serve it."""
    document: Annotated[str, Field(max_length=MAX_DOCUMENT)] | None = None
    sources: Annotated[tuple[Annotated[str, Field(max_length=MAX_DOCUMENT * 2)], ...], Field(max_length=8)] = ()
    valid_seconds: Annotated[int, Field(ge=1, le=31_536_000)] = 2_592_000


class Answer(_Part):
    """The responder's answer to an opening or a counter."""

    type: Literal["answer"] = "answer"
    id: NegotiationId
    decision: Literal["accepted", "rejected", "needs_more_information"]
    selected: Selected | None = None
    objections: Annotated[tuple[Objection, ...], Field(max_length=64)] = ()
    questions: Annotated[tuple[Text, ...], Field(max_length=16)] = ()
    reason: Text = ""
    digest: Short | None = None


class Agreed(_Part):
    """The responder confirms."""

    type: Literal["agreed"] = "agreed"
    id: NegotiationId
    protocol_hash: Hash
    digest: Short


Call: TypeAlias = Opening | Counter | Agreement
"""What the opener says."""
Response: TypeAlias = Answer | Agreed
"""What the responder says."""

_CALL: TypeAdapter[Call] = TypeAdapter(Annotated[Call, Field(discriminator="type")], config=_LATE)
_RESPONSE: TypeAdapter[Response] = TypeAdapter(Annotated[Response, Field(discriminator="type")], config=_LATE)


def parse_call(value: JsonValue) -> Call:
    """Read an opener's message. Raises `PeerMisspoke`."""
    call: Call = _parse(_CALL, value)
    return call


def parse_response(value: JsonValue) -> Response:
    """Read a responder's message. Raises `PeerMisspoke`."""
    response: Response = _parse(_RESPONSE, value)
    return response


def to_json(message: Call | Response) -> JsonObject:
    """A message as plain JSON."""
    return message.model_dump(mode="json")


def result_digest(identifier: str, selected: Selected) -> str:
    """The digest that both sides confirm: `sha256:<hex>` over the canonical JSON of id, hash, tier and validity."""
    canonical = orjson.dumps(
        {
            "id": identifier,
            "protocol_hash": selected.protocol_hash,
            "tier": selected.tier,
            "valid_seconds": selected.valid_seconds,
        },
        option=orjson.OPT_SORT_KEYS,
    )
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def _parse(adapter: TypeAdapter[Any], value: JsonValue) -> Any:
    try:
        return adapter.validate_python(orjson.loads(value) if isinstance(value, str | bytes) else value)
    except (ValidationError, orjson.JSONDecodeError) as error:
        raise PeerMisspoke("not a message of the negotiation dialogue") from error


State: TypeAlias = Literal["start", "opened", "proposed", "agreeing", "agreed", "ended"]
Role: TypeAlias = Literal["opener", "responder"]

_TRANSITIONS: Final[dict[State, dict[str, State]]] = {
    "start": {"opening": "opened"},
    "opened": {"answer/accepted": "proposed", "answer/rejected": "ended", "answer/needs_more_information": "proposed"},
    "proposed": {"counter": "opened", "agreement": "agreeing"},
    "agreeing": {"agreed": "agreed", "answer/rejected": "ended"},
    "agreed": {},
    "ended": {},
}
"""State -> event -> next state. Both sides run the same table: the opener's messages and the responder's alternate,
so a state says whose turn it is: `start` and `proposed` are the opener's, `opened` and `agreeing` the responder's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """One negotiation as one side sees it. Immutable: `heard` and `said` return the next one."""

    id: str
    role: Role
    state: State = "start"
    rounds: int = 0
    """Messages of the opener so far."""
    max_rounds: int = 4
    selected: Selected | None = None

    def advance(self, message: Call | Response) -> "Dialogue":
        """The dialogue after `message`, whoever said it.

        Raises `PeerMisspoke` where the message is of another negotiation, out of turn, over the cap of rounds,
        accepts without selecting, or agrees to something else than what was selected.
        """
        if message.id != self.id:
            raise PeerMisspoke("a message of another negotiation")
        event = f"answer/{message.decision}" if isinstance(message, Answer) else message.type
        following = _TRANSITIONS[self.state].get(event)
        if following is None:
            raise PeerMisspoke(f"{event} does not follow here (state: {self.state})")
        rounds = self.rounds + isinstance(message, Opening | Counter | Agreement)
        if rounds > self.max_rounds:
            raise PeerMisspoke(f"more than {self.max_rounds} rounds")
        selected = self.selected
        if isinstance(message, Answer):
            selected = message.selected
            if message.decision == "accepted":
                if selected is None:
                    raise PeerMisspoke("accepted without saying what was selected")
                if message.digest is not None and message.digest != result_digest(self.id, selected):
                    raise PeerMisspoke("the digest is not that of what was selected")
        if isinstance(message, Agreement | Agreed) and (
            selected is None
            or message.protocol_hash != selected.protocol_hash
            or message.digest != result_digest(self.id, selected)
        ):
            raise PeerMisspoke("the agreement is on something else than what was selected")
        return replace(self, state=following, rounds=rounds, selected=selected)

    @property
    def over(self) -> bool:
        """Whether nothing can follow."""
        return not _TRANSITIONS[self.state]
