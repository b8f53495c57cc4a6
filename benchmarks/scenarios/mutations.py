"""Routines for a pair of vocabularies, right ones and mutants of them, as mappings and as code.

A program is a list of steps in each direction: which field is made of which. The right one is the gold renaming; a
mutant has one thing wrong with it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from benchmarks.scenarios.sgdx_data import Pair
from negotiator.mapping import FieldMapping, Mapping
from negotiator.routines import ENTRY_BACK, ENTRY_INTO, Direction, Role

Form: TypeAlias = Literal["mapping", "code"]
Way: TypeAlias = Literal["into", "back"]

SEEN_AT_ONCE: Final = 3
"""Requests that are shadowed at the least: a rare branch is one that none of the first so many takes."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One field of the target."""

    to: str
    source: str
    required: bool
    values: tuple[str, ...] = ()
    """The enum of both, if they have one."""
    const: str | None = None
    default: str | None = None
    table: tuple[tuple[str, str], ...] = ()
    next_number: bool = False
    rare: tuple[str, str] | None = None
    """At this value of the source, another field of it is read."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A routine, before it has a form."""

    into: tuple[Step, ...]
    """The client's input to the server's parameters."""
    back: tuple[Step, ...]
    """A row of the server's to a row of the client's."""
    last_row_lost: bool = False


def right(pair: Pair) -> Program:
    """The gold renaming."""
    clients = {theirs: ours for ours, theirs in pair.names.items()}
    rows = pair.gives["properties"]["results"]["items"]
    return Program(
        into=tuple(
            Step(to=name, source=pair.names[name], required=name in pair.takes["required"], values=_values(part))
            for name, part in pair.takes["properties"].items()
        ),
        back=tuple(
            Step(to=pair.names[name], source=name, required=True, values=_values(part))
            for name, part in rows["properties"].items()
            if pair.names[name] in clients
        ),
    )


def _values(part: dict[str, Any]) -> tuple[str, ...]:
    return tuple(part.get("enum", ()))


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a mutation is to be made."""

    program: Program
    way: Way
    form: Form
    recorded: Sequence[dict[str, str]]
    """What this direction reads in the recorded calls, in their order."""
    late: Sequence[dict[str, str]]
    """The part of it that comes after the first calls."""
    chance: random.Random

    @property
    def steps(self) -> tuple[Step, ...]:
        return getattr(self.program, self.way)  # type: ignore[no-any-return]

    def changed(self, *steps: Step) -> Program:
        """The program with these steps in the place of those that make the same fields."""
        new = {step.to: step for step in steps}
        return replace(self.program, **{self.way: tuple(new.get(step.to, step) for step in self.steps)})

    def shuffled(self) -> list[Step]:
        return self.chance.sample(self.steps, len(self.steps))

    def value_of(self, name: str) -> str | None:
        return next((record[name] for record in self.recorded if name in record), None)


def _swapped(place: _Place) -> Program | None:
    steps = place.shuffled()
    for at, one in enumerate(steps):
        for other in steps[at + 1 :]:
            if one.values == other.values:
                return place.changed(replace(one, source=other.source), replace(other, source=one.source))
    return None


def _dropped(place: _Place) -> Program | None:
    # A required field that is not made is refused by the schema: the optional ones are the harder mutants.
    steps = sorted(place.shuffled(), key=lambda step: step.required)
    kept = tuple(step for step in place.steps if step.to != steps[0].to) if steps else ()
    return replace(place.program, **{place.way: kept}) if steps else None


def _constant(place: _Place) -> Program | None:
    for step in place.shuffled():
        value = place.value_of(step.source)
        if value is not None:
            return place.changed(replace(step, const=value))
    return None


def _absent(place: _Place) -> Program | None:
    for step in place.shuffled():
        if not step.required:
            return place.changed(replace(step, default=step.values[0] if step.values else ""))
    return None


def _enum(place: _Place) -> Program | None:
    for step in place.shuffled():
        if len(step.values) > 1:
            one, other = place.chance.sample(step.values, 2)
            turned = {one: other, other: one}
            return place.changed(replace(step, table=tuple((value, turned.get(value, value)) for value in step.values)))
    return None


def _off_by_one(place: _Place) -> Program | None:
    if place.way == "back" and place.form == "code" and place.chance.random() < 1 / 2:
        return replace(place.program, last_row_lost=True)
    for step in place.shuffled():
        if step.values and all(value.isdigit() for value in step.values):
            after = dict(zip(step.values, (*step.values[1:], step.values[-1]), strict=True))
            return place.changed(replace(step, table=tuple(after.items())))
        if place.form == "code" and not step.values and (place.value_of(step.source) or "").isdigit():
            return place.changed(replace(step, next_number=True))
    free = [step for step in place.steps if not step.values]
    if len(free) > 2:
        sources = [step.source for step in free]
        moved = zip(free, (*sources[1:], sources[0]), strict=True)
        return place.changed(*(replace(step, source=source) for step, source in moved))
    return None


def _rare(place: _Place) -> Program | None:
    early = [record for record in place.recorded if record not in place.late]
    for step in place.shuffled():
        known = {record.get(step.source) for record in early}
        later = [record for record in place.late if step.source in record and record[step.source] not in known]
        others = [other.source for other in place.steps if other.values == step.values and other.to != step.to]
        if not later:
            continue
        value = later[0][step.source]
        if len(step.values) > 1:
            other = next(each for each in step.values if each != value)
            table = tuple((each, other if each == value else each) for each in step.values)
            return place.changed(replace(step, table=table))
        differing = [name for name in others if later[0].get(name, value) != value]
        if place.form == "code" and differing:
            return place.changed(replace(step, rare=(value, differing[0])))
    return None


MUTATIONS: Final[dict[str, Callable[[_Place], Program | None]]] = {
    "swapped": _swapped,
    "dropped": _dropped,
    "constant": _constant,
    "null": _absent,
    "enum": _enum,
    "off_by_one": _off_by_one,
    "rare": _rare,
}
"""What can be wrong with a program: two fields exchanged; one not made; one always the same; a value in the place of
an absent one; two enum values exchanged; a neighbour's row, number or field; wrong at one value alone, which none of
the first exchanges has."""


def mutant(pair: Pair, kind: str, form: Form, chance: random.Random) -> Program | None:
    """A mutant of this kind; None where the pair has no place for one."""
    program = right(pair)
    requests = [pair.ask(call) for call in pair.calls]
    rows = [[dict(row) for row in call["results"]] for call in pair.calls]
    ways: list[Way] = ["into", "back"]
    for way in chance.sample(ways, 2):
        recorded = requests if way == "into" else [row for each in rows for row in each]
        late = requests[SEEN_AT_ONCE:] if way == "into" else [row for each in rows[SEEN_AT_ONCE:] for row in each]
        place = _Place(program=program, way=way, form=form, recorded=recorded, late=late, chance=chance)
        made = MUTATIONS[kind](place) if place.steps else None
        if made is not None and made != program:
            return made
    return None


def as_mapping(program: Program) -> tuple[Direction, Direction]:
    """The two directions of a mapping routine."""
    rows = FieldMapping(to="/results", source="/results", required=True, each=Mapping(tuple(map(_field, program.back))))
    return Direction(mapping=Mapping(tuple(map(_field, program.into)))), Direction(mapping=Mapping((rows,)))


def _field(step: Step) -> FieldMapping:
    if step.const is not None:
        return FieldMapping(to=f"/{step.to}", const=step.const)
    return FieldMapping(
        to=f"/{step.to}",
        source=f"/{step.source}",
        required=step.required,
        has_default=step.default is not None,
        default=step.default,
        table=step.table,
    )


def as_code(program: Program, role: Role) -> tuple[Direction, Direction, str]:
    """The two directions of a code routine and its source."""
    into, back = ENTRY_INTO[role], ENTRY_BACK[role]
    cut = "[:-1]" if program.last_row_lost else ""
    source = (
        f"def {into}(source):\n    made = {{}}\n{_lines(program.into)}    return made\n\n"
        f"def row_of(source):\n    made = {{}}\n{_lines(program.back)}    return made\n\n"
        f"def {back}(source):\n    return {{'results': [row_of(row) for row in source['results']{cut}]}}\n"
    )
    return Direction(entry=into), Direction(entry=back), source


def as_handler(program: Program, method: str) -> str:
    """The source of a receiver's one function, which calls the tool `method`."""
    _, _, source = as_code(program, "receiver")
    return source + f"\ndef handle(request):\n    return reply({method}(**arguments(request)))\n"


def _lines(steps: Sequence[Step]) -> str:
    return "".join(f"    {line}\n" for step in steps for line in _step(step))


def _step(step: Step) -> list[str]:
    if step.const is not None:
        return [f"made[{step.to!r}] = {step.const!r}"]
    if step.default is not None:
        read = [f"value = source.get({step.source!r}, {step.default!r})"]
    elif step.required:
        read = [f"value = source[{step.source!r}]"]
    else:
        read = [f"value = source.get({step.source!r})"]
    if step.table:
        read.append(f"value = {dict(step.table)!r}.get(value, value)")
    if step.next_number:
        read.append("value = str(int(value) + 1) if value is not None and value.isdigit() else value")
    if step.rare is not None:
        read.append(f"value = source.get({step.rare[1]!r}, value) if value == {step.rare[0]!r} else value")
    return [*read, "if value is not None:", f"    made[{step.to!r}] = value"]
