"""What a candidate has been shown to do, and what it has not: the ground of its verdict.

An exchange that the structured tier answered shows one value of each direction. The rule by which that tier copied
(`Copying`) shows more: rule and routine are both run on the examples of the document and of the schemas, which have
each optional member there and not and each enum value. What they agree on is shown, for that class of values; what no
comparison has shown stays with the structured tier.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, TypeAlias

from negotiator.comparison import differing, same
from negotiator.errors import BadInput, NegotiatorError, PeerMisspoke
from negotiator.evidence import Copying, Exchange, inverse, reads
from negotiator.fitting import Half, Way
from negotiator.jsonvalue import JsonValue
from negotiator.mapping import FieldMapping, Mapping
from negotiator.routines import Routine, Unverified
from negotiator.running import Runnable
from negotiator.schemas import Schema
from protocol_docs.value_classes import ValueClass, classes_in, classes_of
from sandbox import SandboxError, SandboxUnavailable

WAYS: Final[tuple[Way, Way]] = ("into", "back")

_Copied: TypeAlias = tuple[FieldMapping, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one exchange showed of a routine that agreed with it."""

    classes: frozenset[Unverified] = frozenset()
    refuted: frozenset[Unverified] = frozenset()
    """Classes on which routine and rule contradicted each other, however well they agreed on the exchange itself."""
    examples: int = 0
    """Examples on which routine and rule agreed."""
    into: _Copied = ()
    """The fields in which they agreed on all examples."""
    back: _Copied = ()


def nothing_shown(half: Half) -> tuple[Unverified, ...]:
    """All classes of values that the half's schemas allow: where a candidate begins.

    A receiver's half under a document without schemas is one function, whose inner steps are not seen: it has none.
    """
    if half.role == "receiver" and not half.has_schemas:
        return ()
    found: list[Unverified] = []
    for way in WAYS:
        schema = half.source(way)
        if schema is not None:
            found += [(way, *each) for each in sorted(_classes_in(schema))]
    return tuple(found)


def unverified(routine: Routine, half: Half, way: Way, value: JsonValue) -> bool:
    """Whether `value` belongs to a class on which the routine has not been shown to be right."""
    schema = half.source(way)
    if not routine.verdict.unverified or schema is None:
        return False
    here = {(way, *each) for each in classes_of(schema.json_schema, value)}
    return not here.isdisjoint(routine.verdict.unverified)


async def shown_by(half: Half, runnable: Runnable, exchange: Exchange) -> Shown:
    """What an exchange shows of a routine that agreed with it. Raises `SandboxUnavailable`."""
    classes: set[Unverified] = set()
    refuted: set[Unverified] = set()
    examples = 0
    copied: dict[Way, _Copied] = {"into": (), "back": ()}
    open_ways = {way for way, _, _ in runnable.routine.verdict.unverified}
    for way in WAYS:
        schema = half.source(way)
        value, copying = (exchange.given, exchange.into) if way == "into" else (exchange.returned, exchange.back)
        if schema is None:
            continue
        classes |= {(way, *each) for each in classes_of(schema.json_schema, value)}
        direction = runnable.routine.into if way == "into" else runnable.routine.back
        wants_guard = direction.entry is not None and direction.guard is None
        if copying is not None and not runnable.routine.whole and (way in open_ways or wants_guard):
            found = await _compared(half, runnable, way, schema, copying)
            classes |= {(way, *each) for each in found.shown}
            refuted |= {(way, *each) for each in found.refuted}
            examples += found.count
            copied[way] = tuple(
                replace(each, required=False) for each in copying.mapping.fields if each.to in found.agreed
            )
    return Shown(
        classes=frozenset(classes - refuted),
        refuted=frozenset(refuted),
        examples=examples,
        into=copied["into"],
        back=copied["back"],
    )


@dataclass(slots=True)
class _Comparison:
    agreed: set[str]
    """Fields of the target in which rule and routine never differed."""
    shown: set[ValueClass] = field(default_factory=set)
    refuted: set[ValueClass] = field(default_factory=set)
    count: int = 0


async def _compared(half: Half, runnable: Runnable, way: Way, schema: Schema, copying: Copying) -> _Comparison:
    """Run the rule and the routine on examples."""
    run = runnable.into if way == "into" else runnable.back
    rule, fields = copying.mapping.compile(), [each for each in copying.mapping.fields if each.sources]
    read, target = reads(fields), half.target(way)
    found = _Comparison({each.to for each in fields})
    wrong: list[set[ValueClass]] = []
    for value in (*half.examples(way), *_turned_round(half, way, schema, copying.mapping)):
        try:
            expected = rule(value)
            made = await run(value)
        except SandboxUnavailable:
            raise
        except (NegotiatorError, SandboxError):
            continue  # what either refuses is not shown
        if target is not None and not target.is_valid(made):
            continue
        classes = classes_of(schema.json_schema, value)
        places = differing(fields, made, expected)
        found.agreed -= {each.to for each in fields if differing((each,), made, expected)}
        if places or (copying.whole and not same(made, expected)):
            # Where the rule's fields are right, the routine makes one more, of something that the rule does not read.
            places = places or {place for place, _ in classes} - read - {""}
            wrong.append({each for each in classes if each[0] in places})
            continue
        found.count += 1
        # What was filled by value may hang on any field that is not copied: examples show nothing of those.
        found.shown |= {each for each in classes if copying.whole or each[0] in read}
    for classes_there in wrong:
        # It is wrong on the class that nothing agrees on; where there is none such, on any of them.
        found.refuted |= (classes_there - found.shown) or classes_there
    return found


def _turned_round(half: Half, way: Way, schema: Schema, mapping: Mapping) -> list[JsonValue]:
    """The document's examples of what this direction writes, as what it would read, where the rule can be turned."""
    shown = half.written_examples(way)
    back = inverse(mapping) if shown else None
    if back is None:
        return []
    turned: list[JsonValue] = []
    run = back.compile()
    for value in shown:
        try:
            made = run(value)
        except BadInput:
            continue
        if schema.is_valid(made):
            turned.append(made)
    return turned


async def held_against(half: Half, runnable: Runnable, samples: list[JsonValue]) -> tuple[int, str | None]:
    """How many examples the routine fitted, and what went wrong with the first that it did not.

    `samples` are what came in before; without any, and without code, those that the schema itself makes.
    """
    fitted = 0
    shown = [*samples, *half.shown_examples("into")]
    if not shown and runnable.routine.into.entry is None:
        shown = half.examples("into")
    for way, values in (("into", shown), ("back", half.back_samples())):
        run, schema = (runnable.into, half.passed) if way == "into" else (runnable.back, half.made)
        for value in values:
            try:
                made = await run(value)
                if schema is not None:
                    schema.check(made)
            except BadInput as error:
                wrong = error.violations[0] if error.violations else ("", str(error))
                return fitted, f"{wrong[0] or '/'}: {wrong[1]}"
            except (SandboxError, PeerMisspoke) as error:
                return fitted, str(error)
            fitted += 1
    return fitted, None


@lru_cache(256)
def _classes_in(schema: Schema) -> frozenset[ValueClass]:
    return classes_in(schema.json_schema)
