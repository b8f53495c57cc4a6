"""Plain JSON, as it is after decoding: finite numbers, text keys, no cycles; and how to be sure of it quickly."""

from typing import Any, Final, TypeAlias, TypeGuard

import orjson

JsonValue: TypeAlias = Any
"""None, bool, int, float, str, or a list or dict of such. What it holds is checked against a schema, not typed."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object."""

_NOTHING_IN_THEM: Final = frozenset({str, int, bool})
_AS_IT_IS: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def nests_within(data: bytes, levels: int) -> bool:
    """Whether a JSON text is sure to nest no deeper than `levels`: it opens no more lists and objects than that.

    False where it may: then it is to be looked at.
    """
    return data.count(b"[") + data.count(b"{") <= levels


def is_flat(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether a value is an object of texts, whole numbers and booleans alone: then it holds no null, and nothing nested.

    Quicker to see than a text is to search. Whether its texts are Unicode and its numbers fit 64 bits is not looked at.
    """
    if value.__class__ is not dict:
        return False
    # A loop, since most objects have few fields: to set up one call for all of them is dearer.
    for each in value.values():  # noqa: SIM110
        if each.__class__ not in _NOTHING_IN_THEM:
            return False
    return True


def is_plain(value: object, levels: int) -> bool:
    """Whether a value is plain JSON beyond doubt and nests no deeper than `levels`.

    Doubt is cheap to raise: a null may have been a number that is not finite, so that whatever holds one is doubted.
    """
    try:
        data = orjson.dumps(value, option=_AS_IT_IS)
    except TypeError:
        return False
    if value.__class__ is dict:
        for each in value.values():
            kind = each.__class__
            if kind is float:
                if each - each != 0.0:
                    return False  # it is not finite
            elif kind not in _NOTHING_IN_THEM:
                break
        else:
            return True
    return b"null" not in data and nests_within(data, levels)


def plain_copy(value: object, levels: int) -> JsonValue:
    """A copy of a value that is plain JSON beyond doubt and nests no deeper than `levels`; None where there is doubt, as
    `is_plain` has it. Lists of both kinds become lists.
    """
    try:
        data = orjson.dumps(value, option=_AS_IT_IS)
        if is_flat(value):  # of other keys than texts no bytes are made
            return {**value}
        return None if b"null" in data or not nests_within(data, levels) else orjson.loads(data)
    except (TypeError, orjson.JSONDecodeError):
        return None
