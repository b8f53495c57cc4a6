"""One field here, several there: a moment and its date and time, a name and its parts, an address, coordinates.

A template is one more reading of two schemas: it is taken where the whole reading with it is likelier than the best
one without it by the margin that pairs need too. Where the two are close, the field is left open. Several fields
become one by joining; one becomes several only where it is known where to cut, which a name and an address are not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from negotiator.mapping import words
from negotiator.mapping.carry import stated_date_pattern
from negotiator.mapping.dates import ISO_DATE
from negotiator.mapping.fields import Field
from negotiator.mapping.form import Conversion, Part
from negotiator.mapping.times import CLOCK, MOMENT

Kind: TypeAlias = Literal["moment", "name", "address", "coordinates"]

TEMPLATE_BONUS: Final = 2.0
"""Log-odds of a template whose parts are all there, beside what the words say. Set by hand: no public data has it."""
_SAME_MATTER: Final = 0.45
"""Cosine of what is left of two names without the words of their parts: `departure` of `departure_date`."""

_ROLES: Final[dict[Kind, dict[str, frozenset[str]]]] = {
    "moment": {
        "date": frozenset({"date", "day", "日期"}),
        "time": frozenset({"time", "hour", "clock", "时间"}),
    },
    "name": {
        "first": frozenset({"first", "given", "forename", "firstname", "givenname", "fname", "名"}),
        "middle": frozenset({"middle", "middlename"}),
        "last": frozenset({"last", "family", "surname", "lastname", "familyname", "lname", "姓"}),
    },
    "address": {
        "street": frozenset({"street", "road", "街道"}),
        "city": frozenset({"city", "town", "城市"}),
        "state": frozenset({"state", "province", "省"}),
        "postcode": frozenset({"postcode", "zip", "zipcode", "postal", "邮编"}),
        "country": frozenset({"country", "国家"}),
    },
    "coordinates": {
        "latitude": frozenset({"latitude", "lat", "纬度"}),
        "longitude": frozenset({"longitude", "lon", "lng", "long", "经度"}),
    },
}
"""The parts of each kind, in the order in which they are joined, by the words that name them."""
_NEEDED: Final[dict[Kind, frozenset[str]]] = {
    "moment": frozenset({"date", "time"}),
    "name": frozenset({"first", "last"}),
    "address": frozenset({"street", "city"}),
    "coordinates": frozenset({"latitude", "longitude"}),
}
_WHOLES: Final[dict[Kind, frozenset[str]]] = {
    "moment": frozenset({"datetime", "timestamp", "moment", "日期时间"}),
    "name": frozenset({"name", "fullname", "姓名", "名字"}),
    "address": frozenset({"address", "地址"}),
    "coordinates": frozenset({"coordinate", "coordinates", "latlng", "latlon", "geolocation", "position", "坐标"}),
}
_FILLERS: Final = frozenset(
    {"name", "date", "time", "datetime", "at", "on", "of", "the", "full", "complete", "whole", "number", "code", "line"}
    | {"timestamp", "address", "value", "名", "姓", "姓名", "名字", "日期", "时间", "地址", "geo", "location"}
)
"""Words of names that say which part it is, or nothing, and not what it is a part of."""
_SEPARATORS: Final[dict[Kind, str]] = {"moment": "T", "name": " ", "address": ", ", "coordinates": ","}
_MOMENT_PATTERN: Final = re.compile(r"\bYYYY-MM-DD(?P<between>[T ])HH:[Mm]{2}(?P<seconds>:[Ss]{2})?\b")
_CHINESE: Final = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Template:
    """A whole on one side and its parts on the other, as indexes of slots."""

    kind: Kind
    whole: int
    parts: tuple[int, ...]
    """In the order in which they are joined."""
    roles: tuple[str, ...]
    whole_is_ours: bool
    margin: float = 0.0


def candidates(wholes: Sequence[Field], parts: Sequence[Field], *, whole_is_ours: bool) -> list[Template]:
    """The templates that names and formats suggest, between one field a slot of either side."""
    found = []
    for index, whole in enumerate(wholes):
        for kind, roles in _ROLES.items():
            # A part that stands beside the whole is no part of it: street, city here and address, city there.
            beside = any(_role(other, kind) for other in wholes if other.path[:-1] == whole.path[:-1])
            if not _is_whole(whole, kind) or (beside and kind != "moment"):
                continue
            for matter in _matters(parts, kind):
                chosen = _parts_of(whole, parts, kind, matter)
                if chosen is not None:
                    ordered = tuple(role for role in roles if role in chosen)
                    indexes = tuple(chosen[role] for role in ordered)
                    found.append(Template(kind, index, indexes, ordered, whole_is_ours))
    return found


def imagined(template: Template, whole: Field, parts: Sequence[Field]) -> Field:
    """The whole that the parts would make, as a field: what the other side's whole is compared with.

    It is called what that side calls such a whole, so that the comparison is about what it is the whole of.
    """
    first = parts[template.parts[0]]
    matter = [word for word in words.words(first.name) if word not in _said(template.kind)]
    called = [word for word in words.words(whole.name) if word in _WHOLES[template.kind]]
    name = "_".join([*matter, *(called or ["datetime" if template.kind == "moment" else template.kind])])
    texts = dict.fromkeys(parts[at].description for at in template.parts)
    return replace(
        first,
        path=(*first.path[:-1], name),
        description=" ".join(text for text in texts if text),
        types=frozenset({"string"}),
        enum=None,
        format=MOMENT if template.kind == "moment" else None,
        iris=frozenset(),
    )


def joined(template: Template, parts: Sequence[tuple[str, Field]], whole: Field) -> tuple[Part, ...] | None:
    """How the parts, by their pointers, become the whole; None where that is not known."""
    if template.kind == "moment":
        return _joined_moment(parts, whole)
    if template.kind == "name" and _CHINESE.search(whole.name):
        return tuple(Part(source=at) for at, _ in reversed(parts))
    between = Part(text=_SEPARATORS[template.kind])
    made: list[Part] = []
    for at, _ in parts:
        made += [between, Part(source=at)] if made else [Part(source=at)]
    return tuple(made)


def cut(template: Template, role: str, whole: Field, part: Field) -> Conversion | None:
    """How a part is read out of the whole; None where nobody can know where to cut."""
    match template.kind, role:
        case "moment", "date":
            pattern = stated_date_pattern(part) or (ISO_DATE if part.format is None else None)
            return None if pattern is None or whole.format != MOMENT else Conversion("date_of", MOMENT, pattern)
        case "moment", _:
            pattern = "time" if part.format == "time" else _time_pattern(part)
            return None if whole.format != MOMENT else Conversion("time_of", MOMENT, pattern)
        case "coordinates", _ if whole.types == {"string"}:
            piece = f"{0 if role == 'latitude' else 1}/2"
            return Conversion("piece" if part.types == {"string"} else "number_piece", ",", piece)
        case _:
            return None


def _joined_moment(parts: Sequence[tuple[str, Field]], whole: Field) -> tuple[Part, ...] | None:
    (date_at, date), (time_at, _) = parts
    pattern = stated_date_pattern(date) or ISO_DATE
    stated = _MOMENT_PATTERN.search(whole.description)
    if whole.format != MOMENT and stated is None:
        return None
    between, style = "T", "time"
    if whole.format != MOMENT and stated is not None:
        between, style = stated["between"], "HH:MM:SS" if stated["seconds"] else "HH:MM"
    return (
        Part(source=date_at, convert=Conversion("date", pattern, ISO_DATE)),
        Part(text=between),
        Part(source=time_at, convert=Conversion("time", CLOCK, style)),
    )


def _time_pattern(field: Field) -> str:
    text = field.description.lower()
    if "hh:mm:ss" in text:
        return "HH:MM:SS"
    return "h:MM a" if re.search(r"\bh{1,2}:mm ?(?:a|am/pm)\b|12-hour", text) else "HH:MM"


def _tokens(field: Field) -> frozenset[str]:
    """The words of its name; of Chinese ones that overlap the longest only, since 姓名 is neither 姓 nor 名."""
    found = frozenset(words.words(field.name))
    return frozenset(
        word for word in found if not (_CHINESE.match(word) and any(word in other and word != other for other in found))
    )


def _is_whole(field: Field, kind: Kind) -> bool:
    if field.types and field.types != {"string"}:
        return False
    if kind == "moment":
        return field.format == MOMENT or (
            field.format is None and _MOMENT_PATTERN.search(field.description) is not None
        )
    if field.format is not None or field.enum is not None:
        return False
    name = _tokens(field)
    return bool(name & _WHOLES[kind]) and not any(name & named for named in _ROLES[kind].values())


def _role(field: Field, kind: Kind) -> str | None:
    """Which part of a kind a field is, by its name; a name of the whole is no part."""
    if field.types & {"array", "object", "boolean"} or field.enum is not None:
        return None
    if kind == "moment" and field.format in ("date", "time"):
        return field.format
    if field.format is not None:
        return None
    name = _tokens(field)
    if kind == "address" and name & _WHOLES["address"]:
        return None
    named = [role for role, called in _ROLES[kind].items() if name & called]
    return named[0] if len(named) == 1 else None


def _said(kind: Kind) -> frozenset[str]:
    return _FILLERS.union(*_ROLES[kind].values(), _WHOLES[kind])


def _matter(field: Field, kind: Kind) -> frozenset[str]:
    """What a name says beside its part: `departure` of `departure_date`."""
    return frozenset(words.stem(word) for word in _tokens(field) if word not in _said(kind))


def _matters(parts: Sequence[Field], kind: Kind) -> set[tuple[tuple[str, ...], frozenset[str]]]:
    return {(field.path[:-1], _matter(field, kind)) for field in parts if _role(field, kind) is not None}


def _parts_of(
    whole: Field, parts: Sequence[Field], kind: Kind, matter: tuple[tuple[str, ...], frozenset[str]]
) -> dict[str, int] | None:
    """One part a role of one matter, where all that are needed are there and it is the whole's matter too."""
    chosen: dict[str, int] = {}
    for index, field in enumerate(parts):
        role = _role(field, kind)
        if role is None or (field.path[:-1], _matter(field, kind)) != matter:
            continue
        if role in chosen:
            return None
        chosen[role] = index
    if not _NEEDED[kind] <= chosen.keys():
        return None
    here, there = matter[1], _matter(whole, kind)
    if here and there:
        parts_say, whole_says = (words.vector((word, 1.0) for word in side) for side in (here, there))
        return chosen if words.cosine(parts_say, whole_says, {}) >= _SAME_MATTER else None
    return chosen
