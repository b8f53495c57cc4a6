"""Shares with their intervals, as reports have them. Pure."""

from math import sqrt
from typing import Any, Final

KEPT: Final = {True: "true", False: "false", None: "-"}
"""Whether a promise is kept, for people; `-` where this run cannot tell."""


def wilson(found: int, asked: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    share, turn = found / asked, z * z / asked
    middle = (share + turn / 2) / (1 + turn)
    reach = z * sqrt(share * (1 - share) / asked + turn / (4 * asked)) / (1 + turn)
    return middle - reach, middle + reach


def share(right: int, n: int) -> dict[str, Any]:
    """`{right, n, share, interval}`: the interval is Wilson's of 95 %; share and interval are None of nothing."""
    if not n:
        return {"right": right, "n": 0, "share": None, "interval": None}
    low, high = wilson(right, n)
    return {"right": right, "n": n, "share": round(right / n, 4), "interval": [round(low, 4), round(high, 4)]}


def shown(found: dict[str, Any]) -> str:
    """Such a share for people: `98.1 % (97.5 to 98.6; 2943 of 3000)`."""
    if found["share"] is None:
        return "-"
    low, high = found["interval"]
    return f"{100 * found['share']:.1f} % ({100 * low:.1f} to {100 * high:.1f}; {found['right']} of {found['n']})"
