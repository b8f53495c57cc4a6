"""`negotiator routines`: what was compiled, and what its right to serve rests on."""

import argparse

from negotiator.cli import exits
from negotiator.cli.console import Console, one_line, short
from negotiator.cli.kept import folder_of, name_of, routines_in
from negotiator.cli.options import Commands, add_state, command
from negotiator.errors import NegotiatorError, UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.routines import Direction, Routine
from negotiator.shelf import RoutineShelf
from negotiator.state import rotate_secret

_MIN_PREFIX = 4


class NoSuchRoutine(NegotiatorError):
    """No routine, or none of that name, is kept here."""

    code = "routine_not_found"


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("routines", help="compiled routines and their verdicts: list, show, drop, rotate")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = command(
        actions,
        "list",
        "what was compiled",
        description="List the routines with their verdicts.",
        example="  negotiator routines list",
    )
    add_state(listing)
    listing.set_defaults(run=_list)

    showing = command(
        actions,
        "show",
        "print one",
        description="Print one routine: its verdict, its mappings and its source.",
        example="  negotiator routines show 4f0c2a91d3b7",
    )
    showing.add_argument("id", metavar="ID", help="as `routines list` prints it; its first digits will do")
    add_state(showing)
    showing.set_defaults(run=_show)

    dropping = command(
        actions,
        "drop",
        "forget one",
        description="Forget one routine. The next exchange falls back one tier, and it may be made anew.",
        example="  negotiator routines drop 4f0c2a91d3b7",
    )
    dropping.add_argument("id", metavar="ID", help="as `routines list` prints it; its first digits will do")
    add_state(dropping)
    dropping.set_defaults(run=_drop)

    rotating = command(
        actions,
        "rotate",
        "put a new signing secret in force",
        description="Put a new secret in force that signs routines, in running processes too. What the two before it "
        "signed is still read.",
        example="  negotiator routines rotate\n  negotiator routines rotate --distrust",
    )
    rotating.add_argument(
        "--distrust",
        action="store_true",
        help="read nothing that older secrets signed: others may have seen them; all routines are made anew",
    )
    add_state(rotating)
    rotating.set_defaults(run=_rotate)


def facts_of(routine: Routine) -> JsonObject:
    """A routine as the commands print it: its stored form, under its name."""
    return {"id": name_of(routine)} | {key: item for key, item in routine.to_json().items() if key != "v"}


def summary_of(routine: Routine) -> str:
    """The verdict in a few words."""
    verdict = routine.verdict
    if routine.state == "demoted":
        return f"demoted: {one_line(verdict.detail)}"
    counted = f"{verdict.examples} examples, {verdict.shadows} shadowed exchanges"
    if verdict.misses:
        counted += f", {verdict.misses} misses"
    if verdict.firm:
        counted += f", {verdict.firm} pairs by rule alone"
    detail = f" ({one_line(verdict.detail)})" if verdict.detail else ""
    return f"{'passed' if verdict.passed else 'not yet'}, {verdict.basis.replace('_', ' ')}: {counted}{detail}"


def text_of(routine: Routine) -> list[str]:
    """A routine as lines for people."""
    lines = [
        f"id         {name_of(routine)}",
        f"document   {routine.protocol_hash}",
        f"role       {routine.role}" + (f", calls {routine.tool}" if routine.tool else ""),
        f"kind       {routine.kind}, made by {routine.made_by}",
        f"state      {routine.state}",
        f"verdict    {summary_of(routine)}",
    ]
    if routine.verdict.sandbox_policy:
        lines.append(f"sandbox    policy {routine.verdict.sandbox_policy}")
    there, back = ("input", "request"), ("reply", "output")
    if routine.role == "receiver":
        there, back = ("request", "arguments"), ("result", "reply")
    lines += [*_direction(*there, routine.into), *_direction(*back, routine.back)]
    if routine.source:
        lines += ["source", *(f"    {line}" for line in routine.source.rstrip().splitlines())]
    return lines


def _direction(source: str, target: str, direction: Direction) -> list[str]:
    lines = []
    for field in direction.mapping.fields if direction.mapping else ():
        how = "" if field.convert is None else f"  ({_how(field.convert)})"
        given = ", ".join(source + place for place in field.sources)
        if given:
            lines.append(f"    {given} -> {target}{field.to}{how}")
    if direction.entry:
        lines.append(f"    {source} -> {target}: the rest by {direction.entry}() in the source")
    return [f"{source} to {target}", *lines] if lines else []


def _how(convert: object) -> str:
    name, *pair = (str(getattr(convert, part)) for part in ("name", "source", "target"))
    said = [part for part in pair if part != "None"]
    return f"{name}: {' to '.join(said)}" if said else name.replace("_", " ")


def _list(chosen: argparse.Namespace, console: Console) -> int:
    shelf = routines_in(chosen.state)
    found = [] if shelf is None else shelf.routines()
    if console.as_json:
        console.json([facts_of(routine) for routine in found])
    elif not found:
        console.note("no routine has been compiled yet")
    else:
        console.rows(
            [
                [
                    name_of(routine),
                    short(routine.protocol_hash),
                    routine.role,
                    routine.kind,
                    routine.state,
                    summary_of(routine),
                ]
                for routine in found
            ]
        )
    return exits.OK


def _show(chosen: argparse.Namespace, console: Console) -> int:
    _, routine = _named(chosen)
    if console.as_json:
        console.json(facts_of(routine))
    else:
        for line in text_of(routine):
            console.out(line)
    return exits.OK


def _drop(chosen: argparse.Namespace, console: Console) -> int:
    shelf, routine = _named(chosen)
    shelf.drop(routine)
    if console.as_json:
        console.json({"dropped": name_of(routine)})
    else:
        console.out(f"dropped {name_of(routine)}")
    return exits.OK


def _rotate(chosen: argparse.Namespace, console: Console) -> int:
    if not (folder_of(chosen.state) / "store").is_dir():
        raise NoSuchRoutine("nothing is kept here yet: there is no secret to replace")
    rotate_secret(folder_of(chosen.state), distrust=chosen.distrust)
    if console.as_json:
        console.json({"rotated": True, "distrust": chosen.distrust})
    else:
        console.out("a new secret signs routines from now on")
    return exits.OK


def _named(chosen: argparse.Namespace) -> tuple[RoutineShelf, Routine]:
    shelf = routines_in(chosen.state)
    wanted = chosen.id.strip().lower()
    if len(wanted) < _MIN_PREFIX:
        raise UsageError(f"give at least {_MIN_PREFIX} digits of a routine's id")
    found = [] if shelf is None else [each for each in shelf.routines() if name_of(each).startswith(wanted)]
    if shelf is None or not found:
        raise NoSuchRoutine(f"no routine here has the id {one_line(chosen.id)}: see `negotiator routines list`")
    if len(found) > 1:
        raise UsageError(f"{len(found)} routines begin with {wanted}: give more digits")
    return shelf, found[0]
