"""Shadow runs: a routine beside the structured tier, on exchanges that have been answered already.

Nothing is sent and no tool is called: the routine is given what the exchange was given, and what it makes is held
against what was sent and answered. K agreements in a row and a candidate serves; too many misses and it is dropped.
A routine that serves a share of the requests, or has not been shown to be right on all classes of values, is compared
on the exchanges that it leaves to the structured tier.
"""

from collections.abc import Callable
from dataclasses import replace

from negotiator.comparison import same
from negotiator.completing import completed
from negotiator.engine import Engine
from negotiator.errors import NegotiatorError
from negotiator.evidence import Exchange, keep, kept
from negotiator.fitting import Half
from negotiator.jsonvalue import JsonValue
from negotiator.mapping import FieldMapping, Mapping
from negotiator.routines import Direction, Routine
from negotiator.running import Runnable
from negotiator.verdicts import Shown, nothing_shown, shown_by
from sandbox import SandboxError, SandboxUnavailable, Tools


async def observe(engine: Engine, half: Half, exchange: Exchange) -> None:
    """Keep an exchange of the structured tier as a private example, and hold the routine against it.

    A routine that leaves out what such exchanges copy is completed first, and held against all of them.
    """
    keep(engine.text, half.place, exchange, engine.cost_policy.private_examples)
    if _complete(engine, half):
        await recall(engine, half)
    else:
        await _hold(engine, half, exchange)


def _complete(engine: Engine, half: Half) -> bool:
    found = engine.routines.fresh(*half.place)
    if found is None or not _open(found.routine):
        return False
    whole = completed(found.routine, kept(engine.text, half.place))
    if whole is None:
        return False
    verdict = replace(
        found.routine.verdict, passed=False, examples=0, shadows=0, misses=0, canary=0, unverified=nothing_shown(half),
        detail="completed from exchanges",
    )  # fmt: skip
    engine.routines.put(replace(whole, state="candidate", verdict=verdict))
    return True


async def recall(engine: Engine, half: Half) -> None:
    """Hold a candidate that was compared with nothing yet against the exchanges that are kept."""
    found = engine.routines.get(*half.place)
    if found is None or _was_compared(found.routine):
        return
    compared = [await _compared(engine, half, found, exchange) for exchange in kept(engine.text, half.place)]
    now = engine.routines.fresh(*half.place)
    # Requests that come at once recall the same exchanges: what is entered is entered once.
    if now is not None and not _was_compared(now.routine):
        for shown, why in filter(None, compared):
            _count(engine, found, shown, why)


def _was_compared(routine: Routine) -> bool:
    return routine.state != "candidate" or bool(routine.verdict.shadows or routine.verdict.misses)


async def _hold(engine: Engine, half: Half, exchange: Exchange) -> None:
    runnable = engine.routines.get(*half.place)
    if runnable is not None and _open(runnable.routine):
        compared = await _compared(engine, half, runnable, exchange)
        if compared is not None:
            _count(engine, runnable, *compared)


async def _compared(
    engine: Engine, half: Half, runnable: Runnable, exchange: Exchange
) -> tuple[Shown | None, str] | None:
    """What an exchange shows of a routine, or None and why it disagreed; None where it says nothing."""
    if _shows_nothing(runnable, half, exchange):
        return None
    try:
        if await _agrees(engine, half, runnable, exchange):
            return await shown_by(half, runnable, exchange), ""
    except SandboxUnavailable:
        return None
    except (NegotiatorError, SandboxError) as error:
        return None, f"{type(error).__name__}: {error}"
    return None, "disagreed with the structured tier"


def _open(routine: Routine) -> bool:
    """Whether a comparison can change anything about a routine's verdict."""
    if routine.state == "serving":
        return bool(routine.verdict.canary or routine.verdict.unverified)
    return routine.state == "candidate"


async def _agrees(engine: Engine, half: Half, runnable: Runnable, exchange: Exchange) -> bool:
    """Whether the routine makes what was made. Raises `BadInput` where what it makes does not fit the schemas."""
    if runnable.routine.whole:
        return await _agrees_whole(engine, runnable, exchange)
    passed, made = await runnable.into(exchange.given), await runnable.back(exchange.returned)
    for value, schema in ((passed, half.passed), (made, half.made)):
        if schema is not None:
            schema.check(value)
    return same(passed, exchange.passed) and same(made, exchange.made)


async def _agrees_whole(engine: Engine, runnable: Runnable, exchange: Exchange) -> bool:
    called: list[JsonValue] = []

    def answering(names: list[str]) -> Callable[..., JsonValue]:
        def call(*args: JsonValue, **keywords: JsonValue) -> JsonValue:
            called.append(dict(zip(names, args, strict=False)) | keywords)
            return exchange.returned

        return call

    tools: Tools = {
        name: answering(list(tool.input.json_schema.get("properties", {}))) for name, tool in engine.tools.items()
    }
    replied = await runnable.handle(exchange.given, tools)
    return len(called) == 1 and same(called[0], exchange.passed) and same(replied, exchange.made)


def _shows_nothing(runnable: Runnable, half: Half, exchange: Exchange) -> bool:
    """Without schemas a reply in free text is no evidence: two readings of it may agree by chance."""
    reply = exchange.returned if half.role == "sender" else exchange.made
    return runnable.routine.verdict.basis == "shadow_only" and not isinstance(reply, dict | list)


def _count(engine: Engine, runnable: Runnable, shown: Shown | None, why: str) -> None:
    """Enter one comparison in the verdict as it stands now: other exchanges and other processes count too."""
    tried = runnable.routine
    now = engine.routines.fresh(tried.protocol_hash, tried.role, tried.key_digest)
    if now is None or not _open(now.routine) or not _same_program(now.routine, tried):
        return
    if shown is None:
        _enter_miss(engine, now.routine, why)
    else:
        _enter_agreement(engine, now.routine, shown)


def _enter_agreement(engine: Engine, routine: Routine, shown: Shown) -> None:
    policy, verdict = engine.cost_policy, routine.verdict
    doubted = (*verdict.unverified, *sorted(shown.refuted.difference(verdict.unverified)))
    verdict = replace(
        verdict,
        shadows=verdict.shadows + 1,
        examples=max(verdict.examples, shown.examples),
        unverified=tuple(each for each in doubted if each not in shown.classes),
    )
    state = routine.state
    if state == "serving":
        verdict = replace(verdict, canary=max(0, verdict.canary - 1))
    elif verdict.shadows >= policy.shadow_exchanges:
        state = "serving"
        canary = policy.canary_exchanges if policy.canary_share < 1 else 0
        detail = f"agreed on {verdict.shadows} shadowed exchanges in a row"
        verdict = replace(verdict, passed=True, canary=canary, detail=detail)
    into, back = _guarded(routine.into, shown.into), _guarded(routine.back, shown.back)
    engine.routines.put(replace(routine, state=state, verdict=verdict, into=into, back=back))


def _enter_miss(engine: Engine, routine: Routine, why: str) -> None:
    misses = routine.verdict.misses + 1
    verdict = replace(routine.verdict, misses=misses, detail=why[:300])
    if routine.state == "candidate":
        verdict = replace(verdict, shadows=0)
    routine = replace(routine, verdict=verdict)
    if misses > engine.cost_policy.max_shadow_misses or verdict.canary:
        engine.routines.demote(routine, why)
    else:
        engine.routines.put(routine)


def _guarded(direction: Direction, copied: tuple[FieldMapping, ...]) -> Direction:
    """The direction, with what was copied beside its function as a guard from now on."""
    if direction.entry is None or not copied:
        return direction
    before = () if direction.guard is None else direction.guard.fields
    fields = {each.to: each for each in (*before, *copied)}
    return replace(direction, guard=Mapping(tuple(fields.values())))


def _same_program(one: Routine, other: Routine) -> bool:
    return _program(one) == _program(other)


def _program(routine: Routine) -> tuple[object, ...]:
    ways = [(each.mapping, each.entry) for each in (routine.into, routine.back)]
    return (ways, routine.source, routine.tool)


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
