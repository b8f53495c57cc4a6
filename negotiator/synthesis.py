"""From a document and schemas to a candidate routine.

Rules first: a mapping that the schemas decide. What rules cannot settle the model is asked about, as a mapping;
what no mapping can do it writes as a small function. A candidate is compiled under the sandbox policy and held
against examples here; it serves only after the shadow runs of `negotiator.shadow`, unless the schemas leave no
choice at all.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from negotiator.clock import Deadline
from negotiator.code_writing import CodeRefused, Trial, joined, write_direction, write_receiver, write_sender
from negotiator.engine import DocumentSchemas, Engine
from negotiator.errors import BadInput, ModelMisspoke, NegotiatorError, PeerMisspoke
from negotiator.interpret import Interpreter, part_of
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import Account
from negotiator.mapping import FieldMapping, Inference, Mapping, PairInference, merge, question_for
from negotiator.negotiation import Objection
from negotiator.pairing import firm_targets
from negotiator.routines import ENTRY_BACK, ENTRY_INTO, Direction, Role, Routine, Runnable, Verdict, lay_over
from negotiator.schemas import Schema
from negotiator.shadow import passed_exactly
from negotiator.task import Task, Tool
from protocol_docs import ProtocolDocument
from protocol_docs.examples import examples_of
from sandbox import POLICY_VERSION, SandboxError, SandboxUnavailable

_JSON_FORM: Final = "JSON values (dicts and lists, already decoded)"
MAX_VOTES: Final = 3

Place: TypeAlias = tuple[str, Role, str]
"""Where a routine stands: document, role, digest of the task or toolset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a document fits a task, by rule alone."""

    ready: bool
    """Whether a routine can be made without asking a model what means what."""
    exact: bool
    """Whether it may serve at once."""


async def judge_sender(engine: Engine, task: Task, document: ProtocolDocument) -> Fit:
    """Whether `document` fits `task` by rule; no model is asked."""
    schemas = engine.schemas_of(document)
    if schemas is None or (task.effect == "safe" and (document.annex is None or document.annex.effect != "safe")):
        return Fit(ready=False, exact=False)
    pair = await sender_pair(engine, task, schemas)
    exact = pair.request.exact and pair.reply.exact
    return Fit(ready=exact or (pair.complete and engine.has_model), exact=exact)


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
    place: Place = (document.hash, "sender", task.digest)
    if not engine.routines.wanted(*place):
        return _standing(engine, place)
    objections = await _make_sender(engine, task, document, account, deadline)
    return _noted(engine, place, objections)


async def _make_sender(
    engine: Engine,
    task: Task,
    document: ProtocolDocument,
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    schemas = engine.schemas_of(document)
    if schemas is None:
        if not engine.has_model:
            return (Objection(kind="unclear", detail="the document has no schemas and there is no model to read it"),)
        return await _prose_sender(engine, task, document, account, deadline)
    half = _Half(
        role="sender",
        key_digest=task.digest,
        description=f"{task.description} ({document.name}: {document.description})",
        ours=(task.input, task.output),
        theirs=(schemas.request, schemas.reply),
        samples=[*engine.observed.get(task.digest, []), *_given_examples(task.input)],
        replies=[] if document.annex is None else [example.reply for example in document.annex.examples],
    )
    return await _make(engine, document, half, await sender_pair(engine, task, schemas), account, deadline)


async def exact_receiver(engine: Engine, document: ProtocolDocument) -> Runnable | None:
    """The receiver's routine where a tool's schemas leave no choice; made at sight, without a model."""
    place: Place = (document.hash, "receiver", engine.toolset)
    schemas = engine.schemas_of(document)
    if schemas is None or not engine.routines.wanted(*place):
        return engine.routines.get(*place)
    for tool in engine.tools.values():
        if not effect_allowed(document, tool):
            continue
        pair = await receiver_pair(engine, tool, schemas)
        if pair.request.exact and pair.reply.exact:
            routine = Routine(
                protocol_hash=document.hash,
                role="receiver",
                kind="mapping",
                key_digest=engine.toolset,
                into=Direction(mapping=pair.request.mapping),
                back=Direction(mapping=pair.reply.mapping),
                tool=tool.name,
            )
            examples = 0 if document.annex is None else len(document.annex.examples)
            return engine.routines.put(passed_exactly(routine, examples))
    return None


async def make_receiver(
    engine: Engine,
    document: ProtocolDocument,
    tool: Tool,
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    """Make this receiver's candidate for a stranger's document over `tool`, as `make_sender` does."""
    place: Place = (document.hash, "receiver", engine.toolset)
    if not engine.routines.wanted(*place):
        return _standing(engine, place)
    objections = await _make_receiver(engine, document, tool, account, deadline)
    return _noted(engine, place, objections)


async def _make_receiver(
    engine: Engine,
    document: ProtocolDocument,
    tool: Tool,
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    schemas = engine.schemas_of(document)
    if schemas is None:
        return await _prose_receiver(engine, document, tool, account, deadline)
    requests = [] if document.annex is None else [example.request for example in document.annex.examples]
    half = _Half(
        role="receiver",
        key_digest=engine.toolset,
        description=f"{tool.description} ({document.name}: {document.description})",
        ours=(schemas.request, schemas.reply),
        theirs=(tool.input, tool.output),
        samples=requests,
        replies=examples_of(tool.output.json_schema),
        tool=tool.name,
    )
    return await _make(engine, document, half, await receiver_pair(engine, tool, schemas), account, deadline)


async def suitable_tool(engine: Engine, document: ProtocolDocument) -> Tool | None:
    """The tool whose schemas a document's map onto by rule; None where none does, or more than one.

    Without a model to verify a routine by, only an exact mapping will do.
    """
    schemas = engine.schemas_of(document)
    if schemas is None:
        return None
    found: list[Tool] = []
    for tool in engine.tools.values():
        if effect_allowed(document, tool):
            pair = await receiver_pair(engine, tool, schemas)
            if pair.complete and (engine.has_model or (pair.request.exact and pair.reply.exact)):
                found.append(tool)
    return found[0] if len(found) == 1 else None


def effect_allowed(document: ProtocolDocument, tool: Tool) -> bool:
    """A document that says it is safe never reaches a transactional tool."""
    return not (document.annex is not None and document.annex.effect == "safe" and tool.effect == "transactional")


async def sender_pair(engine: Engine, task: Task, schemas: DocumentSchemas) -> PairInference:
    """What rules know of a sender's half."""
    return await engine.pair((task.input, schemas.request), (schemas.reply, task.output))


async def receiver_pair(engine: Engine, tool: Tool, schemas: DocumentSchemas) -> PairInference:
    """What rules know of a receiver's half."""
    return await engine.pair((schemas.request, tool.input), (tool.output, schemas.reply))


def _standing(engine: Engine, place: Place) -> tuple[Objection, ...]:
    found = engine.routines.get(*place)
    if found is not None and found.routine.state != "demoted":
        return ()
    return (Objection(kind="other", detail="no routine could be made for this document lately"),)


def _noted(engine: Engine, place: Place, objections: tuple[Objection, ...]) -> tuple[Objection, ...]:
    """Remember a synthesis that cost something and failed, so that the next request does not pay for it again."""
    if objections and engine.has_model:
        engine.routines.refuse(*place, objections[0].detail)
    return objections


@dataclass(frozen=True, slots=True, kw_only=True)
class _Half:
    """One side's half of an exchange: from `ours` to `theirs` and back."""

    role: Role
    key_digest: str
    description: str
    ours: tuple[Schema, Schema]
    """What comes in first, and what goes out last."""
    theirs: tuple[Schema, Schema]
    samples: Sequence[JsonValue]
    """Examples of what comes in first."""
    replies: Sequence[JsonValue]
    """Examples of what comes back."""
    tool: str | None = None


async def _make(
    engine: Engine,
    document: ProtocolDocument,
    half: _Half,
    pair: PairInference,
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    exact = pair.request.exact and pair.reply.exact
    made_by = "rules"
    sources: list[tuple[str, str]] = []
    into = Direction(mapping=pair.request.mapping)
    back = Direction(mapping=pair.reply.mapping)
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
            into, written = await _direction(
                engine, document, interpreter, half.description, pair.request,
                half.ours[0], half.theirs[0], ENTRY_INTO[half.role], half.samples,
            )  # fmt: skip
            sources += written
            back, written = await _direction(
                engine, document, interpreter, half.description, pair.reply,
                half.theirs[1], half.ours[1], ENTRY_BACK[half.role], half.replies,
            )  # fmt: skip
            sources += written
        except _Unsettled as error:
            return error.objections
        except (CodeRefused, ModelMisspoke) as error:
            return (Objection(kind="other", detail=f"no routine could be written: {error}"[:300]),)
    routine = Routine(
        protocol_hash=document.hash,
        role=half.role,
        kind="code" if sources else "mapping",
        key_digest=half.key_digest,
        into=into,
        back=back,
        source=joined(sources) if sources else "",
        tool=half.tool,
        made_by=made_by if not sources else engine.model.name,
    )
    examples, problem = await _held_against_examples(engine, routine, half)
    if problem is not None:
        return (Objection(kind="other", detail=f"the routine fails on examples: {problem}"[:300]),)
    if exact:
        routine = passed_exactly(routine, examples)
    else:
        verdict = Verdict(
            passed=False,
            basis="examples_and_shadow",
            examples=examples,
            firm=len(firm_targets(pair.request)) + len(firm_targets(pair.reply)),
            sandbox_policy=_policy(sources),
        )
        routine = replace(routine, verdict=verdict)
    engine.routines.put(routine)
    return ()


class _Unsettled(NegotiatorError):
    def __init__(self, objections: tuple[Objection, ...]) -> None:
        super().__init__("fields without a counterpart")
        self.objections = objections


async def _direction(
    engine: Engine,
    document: ProtocolDocument,
    interpreter: Interpreter,
    description: str,
    inference: Inference,
    source: Schema,
    target: Schema,
    entry: str,
    samples: Sequence[JsonValue],
) -> tuple[Direction, list[tuple[str, str]]]:
    """A mapping where one does it, else the sure part of one with a written function for the rest."""
    # A pair that cannot carry what was seen is no pair, whatever the words say.
    refuted = {_first(each.to) for each in inference.partial.fields if not _carries(each, samples)}
    if inference.mapping is not None and not refuted:
        return Direction(mapping=inference.mapping), []
    open_fields = {_first(pointer) for pointer in inference.rest} | refuted
    if not open_fields or "" in open_fields:
        raise _Unsettled(_missing(inference))
    below = Mapping(tuple(each for each in inference.partial.fields if _first(each.to) not in open_fields))
    compiled = below.compile()
    wanted = part_of(target.json_schema, open_fields)

    async def trial(written: str) -> str | None:
        try:
            await asyncio.to_thread(engine.executor().check, written, entry=entry)
        except SandboxUnavailable:
            raise
        except SandboxError as error:
            return str(error)
        for sample in samples[:6]:
            try:
                part = await engine.run_source(written, sample, entry=entry, tenant=document.hash)
                target.check(lay_over(compiled(sample), part))
            except BadInput as error:
                wrong = error.violations[0] if error.violations else ("", str(error))
                return f"for the example {sample!r:.300} the result is wrong at {wrong[0] or '/'}: {wrong[1]}"
            except SandboxUnavailable:
                raise
            except (SandboxError, PeerMisspoke) as error:
                return f"for the example {sample!r:.300}: {error}"
        return None

    written = await write_direction(
        interpreter,
        trial,
        name=entry,
        description=description,
        source_schema=source.json_schema,
        target_schema=wanted.json_schema,
        samples=samples,
    )
    return Direction(mapping=below, entry=entry), [(entry, written)]


def _carries(field: FieldMapping, samples: Sequence[JsonValue]) -> bool:
    carried = Mapping((field,)).compile()
    try:
        for sample in samples:
            carried(sample)
    except BadInput:
        return False
    return True


async def settle(interpreter: Interpreter, pair: PairInference, description: str) -> PairInference:
    """Ask the model about the fields that rules could not pair, and count its answers as votes.

    Each vote puts the fields in another order, because small models lean to a place in a list; two votes that
    agree settle it, and a third is asked for only where they do not.
    """
    answers: list[JsonValue] = []
    settled = pair
    for order in range(MAX_VOTES):
        question = question_for(pair, description=description, order=order)
        if question is None:
            break
        answers.append(await interpreter.choose_fields(question))
        settled = merge(pair, answers)
        if len(answers) > 1 and settled.complete:
            break
    return settled


def _first(pointer: str) -> str:
    return pointer.split("/")[1].replace("~1", "/").replace("~0", "~") if pointer else ""


def _missing(inference: Inference) -> tuple[Objection, ...]:
    return tuple(Objection(kind="missing_field", detail=why[:300]) for why in inference.blocking[:8])


def _objections(pair: PairInference) -> tuple[Objection, ...]:
    return _missing(pair.request) + _missing(pair.reply)


async def _held_against_examples(engine: Engine, routine: Routine, half: _Half) -> tuple[int, str | None]:
    """How many examples the routine fitted, and what went wrong with the first that it did not."""
    runnable = Runnable(routine, engine.run_source)
    samples = list(half.samples) or (examples_of(half.ours[0].json_schema) if routine.into.entry is None else [])
    fitted = 0
    tries: list[tuple[Callable[[JsonValue], Any], Schema, Sequence[JsonValue]]] = [
        (runnable.into, half.theirs[0], samples),
        (runnable.back, half.ours[1], half.replies),
    ]
    for run, schema, values in tries:
        for value in values:
            try:
                schema.check(await run(value))
            except BadInput as error:
                wrong = error.violations[0] if error.violations else ("", str(error))
                return fitted, f"{wrong[0] or '/'}: {wrong[1]}"
            except (SandboxError, PeerMisspoke) as error:
                return fitted, str(error)
            fitted += 1
    return fitted, None


def _given_examples(schema: Schema) -> list[JsonValue]:
    """Inputs that a schema itself gives as examples, field by field or whole."""
    root = schema.json_schema
    whole = [item for item in root.get("examples", []) if schema.is_valid(item)]
    properties = root.get("properties", {})
    fields: JsonObject = {
        name: part["examples"][0]
        for name, part in properties.items()
        if isinstance(part, dict) and isinstance(part.get("examples"), list) and part["examples"]
    }
    if fields and schema.is_valid(fields):
        whole.append(fields)
    return whole


def _policy(sources: Sequence[object]) -> str:
    return POLICY_VERSION if sources else ""


async def _prose_sender(
    engine: Engine,
    task: Task,
    document: ProtocolDocument,
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    """A sender under a document without schemas: the model reads the prose and writes both functions."""
    samples = [*engine.observed.get(task.digest, []), *_given_examples(task.input)]
    trial = _compiles(engine, ("encode", "decode"))
    try:
        source = await write_sender(
            Interpreter(engine.model, account, deadline), trial,
            document=document, task=task, body_form=_JSON_FORM, samples=samples,
        )  # fmt: skip
    except (CodeRefused, ModelMisspoke) as error:
        return (Objection(kind="unclear", detail=f"no routine could be written: {error}"[:300]),)
    routine = Routine(
        protocol_hash=document.hash,
        role="sender",
        kind="code",
        key_digest=task.digest,
        into=Direction(entry="encode"),
        back=Direction(entry="decode"),
        source=source,
        verdict=Verdict(passed=False, basis="shadow_only", sandbox_policy=_policy([source])),
        made_by=engine.model.name,
    )
    engine.routines.put(routine)
    return ()


async def _prose_receiver(
    engine: Engine,
    document: ProtocolDocument,
    tool: Tool,
    account: Account,
    deadline: Deadline,
) -> tuple[Objection, ...]:
    """A receiver under a document without schemas: the model reads the prose and writes `handle`."""
    trial = _compiles(engine, ("handle",))
    try:
        source = await write_receiver(
            Interpreter(engine.model, account, deadline), trial,
            document=document, tools=[tool], body_form=_JSON_FORM, samples=[],
        )  # fmt: skip
    except (CodeRefused, ModelMisspoke) as error:
        return (Objection(kind="unclear", detail=f"no routine could be written: {error}"[:300]),)
    routine = Routine(
        protocol_hash=document.hash,
        role="receiver",
        kind="code",
        key_digest=engine.toolset,
        source=source,
        tool=tool.name,
        whole=True,
        verdict=Verdict(passed=False, basis="shadow_only", sandbox_policy=_policy([source])),
        made_by=engine.model.name,
    )
    engine.routines.put(routine)
    return ()


def _compiles(engine: Engine, entries: Sequence[str]) -> Trial:
    async def trial(source: str) -> str | None:
        for entry in entries:
            try:
                await asyncio.to_thread(engine.executor().check, source, entry=entry)
            except SandboxUnavailable:
                raise
            except SandboxError as error:
                return str(error)
        return None

    return trial
