"""From a document and schemas to a candidate routine.

Rules first: a mapping that the schemas decide. What rules cannot settle the model is asked about, as a mapping;
what no mapping can do it writes as a small function. A candidate is compiled under the sandbox policy and held
against examples here; it serves only after the shadow runs of `negotiator.shadow`, unless the schemas leave no
choice at all.
"""

from collections.abc import Sequence
from dataclasses import replace

from negotiator.clock import Deadline
from negotiator.code_writing import CodeRefused, joined
from negotiator.directions import Unsettled, make_direction, missing, settle
from negotiator.engine import Engine
from negotiator.errors import ModelMisspoke
from negotiator.evidence import Place
from negotiator.fitting import (
    Half,
    effect_allowed,
    receiver_half,
    receiver_pair,
    sender_half,
    sender_pair,
    sender_schemas,
)
from negotiator.interpret import Interpreter
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import Account
from negotiator.mapping import PairInference
from negotiator.negotiation import Objection
from negotiator.pairing import firm_targets
from negotiator.prose_routines import written_for_prose
from negotiator.routines import Direction, Routine, Verdict
from negotiator.running import Runnable
from negotiator.shadow import passed_exactly, recall
from negotiator.sharing import taught
from negotiator.task import Task, Tool
from negotiator.verdicts import held_against, nothing_shown
from protocol_docs import ProtocolDocument
from protocol_docs.header import MAX_NAME, one_line
from sandbox import POLICY_VERSION


async def make_sender(
    engine: Engine,
    task: Task,
    document: ProtocolDocument,
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    """Make this sender's routine for a document and put it on the shelf; what stands in the way, if anything.

    The routine serves at once where the schemas leave no choice, else it is a candidate. One that another peer's
    agreement has brought is taken as it is, and what failed lately is not tried again yet.
    """
    half = sender_half(engine, task, document)
    if not engine.routines.wanted(*half.place):
        return _standing(engine, half.place)
    samples = list(engine.observed.get(task.digest, ()))
    schemas = sender_schemas(engine, task, document)
    async with engine.flights.alone(turn_of(half.place), deadline):
        # Another process, or another peer's agreement, may have brought it while the turn was awaited.
        if not engine.routines.wanted(*half.place):
            return _standing(engine, half.place)
        if schemas is not None:
            pair = await sender_pair(engine, task, schemas)
            decided = pair.request.exact and pair.reply.exact
            if not decided and await _made_as_taught(engine, half, task, samples):
                return ()
            objections = await _make(engine, half, pair, samples, account, deadline)
        elif engine.has_model:
            objections = await _in_prose(engine, half, task, samples, account, deadline)
        else:
            detail = "the document has no schemas and there is no model to read it"
            objections = (Objection(kind="unclear", detail=detail),)
        return await _noted(engine, half, objections)


async def _made_as_taught(engine: Engine, half: Half, task: Task, samples: list[JsonValue]) -> bool:
    """Whether another peer's document with the same schemas has taught this one's routine: nothing is asked for it."""
    routine = taught(engine, task, half.document)
    if routine is None:
        return False
    examples, problem = await held_against(half, Runnable(routine, engine.run_source, "own"), samples)
    if problem is None:
        put_candidate(engine, half, routine, examples=examples, firm=routine.verdict.firm)
    return problem is None


async def exact_receiver(engine: Engine, document: ProtocolDocument) -> Runnable | None:
    """The receiver's routine where a tool's schemas leave no choice; made at sight, without a model."""
    place: Place = (document.hash, "receiver", engine.toolset)
    schemas = engine.schemas_of(document)
    if schemas is None or not engine.routines.wanted(*place):
        return engine.routines.get(*place)
    fitting: dict[str, PairInference] = {}
    for tool in engine.tools.values():
        if effect_allowed(document, tool):
            pair = await receiver_pair(engine, tool, schemas)
            if pair.request.exact and pair.reply.exact:
                fitting[tool.name] = pair
    name = _meant_among(engine, document, list(fitting))
    if name is None:
        return None
    routine = Routine(
        protocol_hash=document.hash,
        role="receiver",
        kind="mapping",
        key_digest=engine.toolset,
        into=Direction(mapping=fitting[name].request.mapping),
        back=Direction(mapping=fitting[name].reply.mapping),
        tool=name,
    )
    examples = 0 if document.annex is None else len(document.annex.examples)
    return engine.routines.put(passed_exactly(routine, examples))


def _meant_among(engine: Engine, document: ProtocolDocument, fitting: Sequence[str]) -> str | None:
    """Which of the tools that fit exactly a document is for; None where that is not sure.

    Schemas do not tell `lock` from `unlock`: the one that was agreed on, or the only one, or the one of the document's
    own name, which is what a document that was drafted from a tool has.
    """
    agreed = engine.meant.get(document.hash)
    if agreed is not None:
        return agreed if agreed in fitting else None
    named = [name for name in fitting if one_line(name, MAX_NAME) == document.name]
    found = fitting if len(fitting) == 1 else named
    return found[0] if len(found) == 1 else None


async def make_receiver(
    engine: Engine,
    document: ProtocolDocument,
    tool: Tool,
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    """Make this receiver's candidate for a stranger's document over `tool`, as `make_sender` does."""
    half = receiver_half(engine, document, tool)
    if not engine.routines.wanted(*half.place):
        return _standing(engine, half.place)
    schemas = engine.schemas_of(document)
    async with engine.flights.alone(turn_of(half.place), deadline):
        if not engine.routines.wanted(*half.place):
            return _standing(engine, half.place)
        if schemas is None:
            objections = await _in_prose(engine, half, tool, [], account, deadline)
        else:
            pair = await receiver_pair(engine, tool, schemas)
            objections = await _make(engine, half, pair, [], account, deadline)
        return await _noted(engine, half, objections)


def turn_of(place: Place) -> str:
    """The name of the turn in which the routine of a place is made."""
    return "/".join(("routine", *place))


def _standing(engine: Engine, place: Place) -> tuple[Objection, ...]:
    found = engine.routines.get(*place)
    if found is not None and found.routine.state != "demoted":
        return ()
    return (Objection(kind="other", detail="no routine could be made for this document lately"),)


async def _noted(engine: Engine, half: Half, objections: tuple[Objection, ...]) -> tuple[Objection, ...]:
    """Remember a synthesis that cost something and failed, so that the next request does not pay for it again.

    What was made is held against the exchanges that are kept.
    """
    if objections and engine.has_model:
        engine.routines.refuse(*half.place, objections[0].detail)
    elif not objections:
        await recall(engine, half)
    return objections


async def _in_prose(
    engine: Engine,
    half: Half,
    what: Task | Tool,
    samples: list[JsonValue],
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    written = await written_for_prose(engine, half, what, samples, account, deadline)
    if isinstance(written, tuple):
        return written
    put_candidate(engine, half, written, examples=0)
    return ()


async def _make(
    engine: Engine,
    half: Half,
    pair: PairInference,
    samples: list[JsonValue],
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    exact = pair.request.exact and pair.reply.exact
    made_by = "rules"
    sources: list[tuple[str, str]] = []
    into, back = Direction(mapping=pair.request.mapping), Direction(mapping=pair.reply.mapping)
    if not exact:
        if not engine.has_model:
            return _objections(pair) or (
                Objection(kind="other", detail="a model is needed to be sure, and there is none"),
            )
        interpreter = Interpreter(engine.model, account, deadline)
        if not pair.complete:
            pair = await settle(interpreter, pair, half.description)
            made_by = engine.model.name
        try:
            into = await make_direction(engine, half, "into", interpreter, pair.request, samples, sources)
            back = await make_direction(engine, half, "back", interpreter, pair.reply, [], sources)
        except Unsettled as error:
            return error.objections
        except (CodeRefused, ModelMisspoke) as error:
            return (Objection(kind="other", detail=f"no routine could be written: {error}"[:300]),)
    routine = Routine(
        protocol_hash=half.document.hash,
        role=half.role,
        kind="code" if sources else "mapping",
        key_digest=half.key_digest,
        into=into,
        back=back,
        source=joined(sources) if sources else "",
        tool=half.tool,
        made_by=made_by if not sources else engine.model.name,
    )
    examples, problem = await held_against(half, Runnable(routine, engine.run_source, "own"), samples)
    if problem is not None:
        return (Objection(kind="other", detail=f"the routine fails on examples: {problem}"[:300]),)
    if exact:
        engine.routines.put(passed_exactly(routine, examples))
    else:
        firm = len(firm_targets(pair.request)) + len(firm_targets(pair.reply))
        put_candidate(engine, half, routine, examples=examples, firm=firm)
    return ()


def put_candidate(engine: Engine, half: Half, routine: Routine, *, examples: int, firm: int = 0) -> Runnable:
    """Put a routine that fitted `examples` on the shelf as a candidate, of which nothing has been shown yet."""
    verdict = Verdict(
        passed=False,
        basis="examples_and_shadow" if half.has_schemas else "shadow_only",
        examples=examples,
        firm=firm,
        unverified=nothing_shown(half),
        sandbox_policy=POLICY_VERSION if routine.source else "",
    )
    return engine.routines.put(replace(routine, state="candidate", verdict=verdict))


def _objections(pair: PairInference) -> tuple[Objection, ...]:
    return missing(pair.request) + missing(pair.reply)
