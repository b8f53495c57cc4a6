"""Shadow runs: a candidate routine beside the structured tier, on exchanges that have been answered already.

Nothing is sent and no tool is called: the candidate is given what the exchange was given, and what it makes is
held against what was sent and answered. K agreements in a row and it serves; too many misses and it is dropped.
"""

import math
from dataclasses import replace

from negotiator.engine import Engine
from negotiator.errors import NegotiatorError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.routines import Routine, Runnable
from negotiator.task import Task
from protocol_docs import ProtocolDocument
from sandbox import SandboxError, SandboxUnavailable


async def observe_sender(
    engine: Engine,
    task: Task,
    document: ProtocolDocument,
    payload: JsonValue,
    sent: JsonValue,
    received: JsonValue,
    output: JsonValue,
) -> None:
    """Hold a sender's candidate against one exchange of the structured tier."""
    runnable = engine.routines.get(document.hash, "sender", task.digest)
    if runnable is None or runnable.routine.state != "candidate" or _shows_nothing(runnable, received):
        return
    try:
        agreed = same(await runnable.into(payload), sent) and same(await runnable.back(received), output)
    except SandboxUnavailable:
        return
    except (NegotiatorError, SandboxError) as error:
        _count(engine, runnable, agreed=False, why=f"{type(error).__name__}: {error}")
        return
    _count(engine, runnable, agreed=agreed, why="" if agreed else "disagreed with the structured tier")


async def observe_receiver(
    engine: Engine,
    document: ProtocolDocument,
    body: JsonValue,
    arguments: JsonObject,
    result: JsonValue,
    made: JsonValue,
) -> None:
    """Hold a receiver's candidate against one exchange; its tool call is answered with the result that was got."""
    runnable = engine.routines.get(document.hash, "receiver", engine.toolset)
    if runnable is None or runnable.routine.state != "candidate" or _shows_nothing(runnable, made):
        return
    try:
        if runnable.routine.whole:
            agreed = await _whole(engine, runnable, body, arguments, result, made)
        else:
            agreed = same(await runnable.into(body), arguments) and same(await runnable.back(result), made)
    except SandboxUnavailable:
        return
    except (NegotiatorError, SandboxError) as error:
        _count(engine, runnable, agreed=False, why=f"{type(error).__name__}: {error}")
        return
    _count(engine, runnable, agreed=agreed, why="" if agreed else "disagreed with the structured tier")


async def _whole(
    engine: Engine,
    runnable: Runnable,
    body: JsonValue,
    arguments: JsonObject,
    result: JsonValue,
    made: JsonValue,
) -> bool:
    called: list[JsonValue] = []

    def answering(name: str) -> object:
        names = list(engine.tools[name].input.json_schema.get("properties", {}))

        def call(*args: JsonValue, **keywords: JsonValue) -> JsonValue:
            called.append(dict(zip(names, args, strict=False)) | keywords)
            return result

        return call

    replied = await runnable.handle(body, {name: answering(name) for name in engine.tools})  # type: ignore[misc]
    return len(called) == 1 and same(called[0], arguments) and same(replied, made)


def _shows_nothing(runnable: Runnable, reply: JsonValue) -> bool:
    """Without schemas a reply in free text is no evidence: two readings of it may agree by chance."""
    return runnable.routine.verdict.basis == "shadow_only" and not isinstance(reply, dict | list)


def _count(engine: Engine, runnable: Runnable, *, agreed: bool, why: str) -> None:
    """Enter one comparison in the verdict as it stands now: other exchanges and other processes count too."""
    tried, policy = runnable.routine, engine.cost_policy
    now = engine.routines.fresh(tried.protocol_hash, tried.role, tried.key_digest)
    if now is None or now.routine.state != "candidate" or not _same_program(now.routine, tried):
        return
    routine, verdict = now.routine, now.routine.verdict
    if agreed:
        verdict = replace(verdict, shadows=verdict.shadows + 1)
        if verdict.shadows >= policy.shadow_exchanges:
            verdict = replace(verdict, passed=True, detail=f"agreed on {verdict.shadows} shadowed exchanges in a row")
            engine.routines.put(replace(routine, state="serving", verdict=verdict))
            return
    else:
        verdict = replace(verdict, shadows=0, misses=verdict.misses + 1, detail=why[:300])
        if verdict.misses > policy.max_shadow_misses:
            engine.routines.demote(replace(routine, verdict=verdict), why)
            return
    engine.routines.put(replace(routine, verdict=verdict))


def _same_program(one: Routine, other: Routine) -> bool:
    return (one.into, one.back, one.source, one.tool) == (other.into, other.back, other.source, other.tool)


def same(one: JsonValue, other: JsonValue) -> bool:
    """Equal as canonical JSON: key order aside, a null member as good as none, numbers to nine digits."""
    if isinstance(one, dict) and isinstance(other, dict):
        mine = {key: item for key, item in one.items() if item is not None}
        theirs = {key: item for key, item in other.items() if item is not None}
        return mine.keys() == theirs.keys() and all(same(item, theirs[key]) for key, item in mine.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


def passed_exactly(routine: Routine, examples: int) -> Routine:
    """The routine with the verdict of schemas that allow one mapping only."""
    verdict = replace(
        routine.verdict,
        passed=True,
        basis="exact",
        examples=examples,
        detail="the schemas leave no choice",
    )
    return replace(routine, state="serving", verdict=verdict)
