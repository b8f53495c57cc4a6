"""Which field a target field is read from, as a pairing has it: what is likely, what is sure, and what templates make."""

from dataclasses import dataclass

from negotiator.mapping.carry import Carry
from negotiator.mapping.fields import Field
from negotiator.mapping.form import FieldMapping
from negotiator.mapping.layout import Direction, Scope
from negotiator.mapping.pointers import pointer
from negotiator.mapping.problem import Pairing, Problem, carried_between
from negotiator.mapping.templates import cut, joined


@dataclass(frozen=True, slots=True)
class Partners:
    """A pairing, asked about the fields of one direction."""

    _problem: Problem
    _pairing: Pairing
    _direction: Direction

    def likely(self, scope: Scope, wanted: Field) -> tuple[int, int, Carry] | None:
        """The indexes of ours and theirs that are paired and stand in this scope, and how values travel."""
        row, column = self._pair_of(scope, wanted)
        if row is None or column is None:
            return None
        one, other = self._problem.ours[row], self._problem.theirs[column]
        carried = carried_between(one, other, scope) if scope in one.places and scope in other.places else None
        return None if carried is None else (row, column, carried)

    def sure(self, scope: Scope, wanted: Field) -> tuple[int, int, Carry] | None:
        """The same, where the margin is kept."""
        pair = self.likely(scope, wanted)
        sure = pair is not None and self._pairing.margin[pair[0]] >= self._problem.thresholds.margin
        return pair if sure else None

    def surely_without(self, scope: Scope, index: int) -> bool:
        """Whether one of ours surely has no counterpart at this place, though perhaps at another."""
        if self._pairing.margin[index] < self._problem.thresholds.margin:
            return False
        partner = self._pairing.partner[index]
        return partner is None or scope not in self._problem.theirs[partner].places

    def may_be_there(self, scope: Scope, wanted: Field) -> bool:
        """Whether anything at the source could be meant by a target field that has no partner."""
        problem, margin = self._problem, self._problem.thresholds.margin
        reply = self._direction == "reply"
        index = self._pair_of(scope, wanted)[0 if reply else 1]
        if index is None:
            return True
        gains = list(problem.gains[index]) if reply else [line[index] for line in problem.gains]
        margins = self._pairing.margin_theirs if reply else self._pairing.margin
        partners = set(self._pairing.partner) if reply else None
        return any(
            gain > -margin
            and not (margins[at] >= margin and (at in partners if partners is not None else self._elsewhere(at, index)))
            for at, gain in enumerate(gains)
        )

    def _elsewhere(self, row: int, column: int) -> bool:
        return self._pairing.partner[row] not in (None, column)

    def template_of(self, scope: Scope, wanted: Field) -> tuple[tuple[Field, ...], FieldMapping, float] | None:
        """The fields that a template makes `wanted` of here, how, and the template's margin."""
        problem = self._problem
        mine = problem.ours if self._direction == "reply" else problem.theirs
        index = next((at for at, slot in enumerate(mine) if slot.places.get(scope) is wanted), None)
        for template in problem.templates:
            wholes, parts = (problem.ours, problem.theirs)[:: 1 if template.whole_is_ours else -1]
            whole = wholes[template.whole].places.get(scope)
            held = [parts[at].places.get(scope) for at in template.parts]
            fields = [one for one in held if one is not None]
            if whole is None or len(fields) < len(held):
                continue
            if wholes is mine and index == template.whole:
                made = joined(template, [(pointer(one.path), one) for one in fields], wanted)
                if made is None or (wanted.required and not all(one.required for one in fields)):
                    return None
                joint = FieldMapping(to=pointer(wanted.path), join=made, required=wanted.required)
                return tuple(fields), joint, template.margin
            if parts is mine and index in template.parts:
                role = template.roles[template.parts.index(index)]
                convert = cut(template, role, whole, wanted)
                if convert is None or (wanted.required and not whole.required):
                    return None
                piece = FieldMapping(
                    to=pointer(wanted.path),
                    source=pointer(whole.path),
                    required=wanted.required,
                    null_is_absent=whole.nullable and not wanted.nullable,
                    convert=convert,
                )
                return (whole,), piece, template.margin
        return None

    def _pair_of(self, scope: Scope, wanted: Field) -> tuple[int | None, int | None]:
        problem, pairing = self._problem, self._pairing
        side = problem.theirs if self._direction == "request" else problem.ours
        index = next((at for at, slot in enumerate(side) if slot.places.get(scope) is wanted), None)
        if index is None:
            return None, None
        if self._direction == "reply":
            return index, pairing.partner[index]
        row = next((at for at, partner in enumerate(pairing.partner) if partner == index), None)
        return row, index
