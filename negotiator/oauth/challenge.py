"""`WWW-Authenticate`: what a server says it wants (RFC 9110 11.6.1, RFC 6750 3, RFC 9728 5.1). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_HEADER: Final = 16_384
"""Characters of the header that are read."""
_MOST: Final = 16
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - a pattern
# A value without quotes may hold more than a token may: some servers write addresses so.
_PARAM: Final = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_SCHEME: Final = re.compile(rf"({_TOKEN})(?:[ \t]+|(?=,)|$)")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))")
_BETWEEN: Final = re.compile(r"[ \t,]*")
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a server offers."""

    scheme: str
    """In lower case."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """By names in lower case; of a name that repeats, the first."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """What a token must be good for."""
        return tuple(dict.fromkeys(self.parameters.get("scope", "").split()))


def read_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a header, up to where it cannot be read."""
    text = header[:MAX_HEADER]
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = _skip(text, 0)
    while at < len(text):
        parameter = _PARAM.match(text, at)
        if parameter and found:
            name, quoted, plain = parameter.groups()
            parameters.setdefault(name.lower(), plain if quoted is None else _ESCAPED.sub(r"\1", quoted))
            at = _skip(text, parameter.end())
            continue
        scheme = _SCHEME.match(text, at)
        if scheme is None or len(found) == _MOST:
            break
        parameters = {}
        found.append(Challenge(scheme[1].lower(), parameters))
        blob = None if _PARAM.match(text, scheme.end()) else _TOKEN68.match(text, scheme.end())
        at = _skip(text, blob.end() if blob else scheme.end())
    return tuple(found)


def bearer_challenge(header: str) -> Challenge | None:
    """The one that asks for a bearer token; None where there is none."""
    return next((each for each in read_challenges(header) if each.scheme == "bearer"), None)


def write_challenge(scheme: str, parameters: Mapping[str, str]) -> str:
    """One challenge, in the same form always. What a header may not hold becomes `?`."""
    said = ", ".join(f'{name}="{_quotable(value)}"' for name, value in parameters.items())
    return f"{scheme} {said}" if said else scheme


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _quotable(text: str) -> str:
    plain = "".join(each if each.isascii() and each.isprintable() else "?" for each in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
