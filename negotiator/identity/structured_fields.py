"""The part of structured fields (RFC 9651) that signatures and digests are written in: dictionaries whose members
are byte sequences or lists of strings, with parameters. Read strictly, written canonically.
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Bare: TypeAlias = int | str | bytes | bool
"""An integer, string, byte sequence or boolean."""

MAX_MEMBERS: Final = 16
"""Members of a dictionary, items of a list, and parameters."""
MAX_LENGTH: Final = 8192
"""Characters of a field."""

_KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]{0,63}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_STRING: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]*={0,2}):")
_BOOLEAN: Final = re.compile(r"\?([01])")
_SPACES: Final = re.compile(r" *")
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a dictionary."""

    value: Bare | tuple[str, ...]
    """A tuple for an inner list, whose items are strings without parameters."""
    parameters: dict[str, Bare] = field(default_factory=dict)
    """In their order."""


def parse_dictionary(text: str) -> dict[str, Member]:
    """Read a dictionary. Raises ValueError for what is none, or is outside the part read here."""
    if len(text) > MAX_LENGTH:
        raise ValueError("a field that is too long")
    reader = _Reader(text.strip(" "))
    members: dict[str, Member] = {}
    while True:
        key = reader.take(_KEY, "a key")
        if key in members:
            # RFC 9651 lets the last one win; two readers that choose otherwise must not see different signatures.
            raise ValueError("a member that is there twice")
        members[key] = reader.member()
        if reader.at_end():
            return members
        if len(members) >= MAX_MEMBERS:
            raise ValueError("too many members")
        reader.take(_COMMA, "a comma")


def write_member(member: Member) -> str:
    """A member as RFC 9651 4.1 writes it. Raises ValueError for a string that is not printable ASCII."""
    if isinstance(member.value, tuple):
        text = "(" + " ".join(_bare(each) for each in member.value) + ")"
    else:
        text = _bare(member.value)
    for key, value in member.parameters.items():
        text += f";{key}" if value is True else f";{key}={_bare(value)}"
    return text


def _bare(value: Bare) -> str:
    if isinstance(value, bool):
        return f"?{int(value)}"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f":{b64encode(value).decode('ascii')}:"
    if not value.isascii() or not value.isprintable():
        raise ValueError("a string that is not printable ASCII")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def at_end(self) -> bool:
        return self._at == len(self._text)

    def take(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"{what} is expected at character {self._at}")
        self._at = found.end()
        return found[found.lastindex or 0]

    def _next(self, character: str) -> bool:
        if self._text.startswith(character, self._at):
            self._at += 1
            return True
        return False

    def member(self) -> Member:
        if self._next("="):
            value: Bare | tuple[str, ...] = self._inner_list() if self._next("(") else self._bare()
        else:
            value = True
        return Member(value, self._parameters())

    def _inner_list(self) -> tuple[str, ...]:
        items: list[str] = []
        self.take(_SPACES, "space")
        while not self._next(")"):
            if len(items) >= MAX_MEMBERS:
                raise ValueError("too many items")
            items.append(_unescaped(self.take(_STRING, "a string")))
            if not self._text.startswith((" ", ")"), self._at):
                raise ValueError("an item with parameters, or no space after an item")
            self.take(_SPACES, "space")
        return tuple(items)

    def _parameters(self) -> dict[str, Bare]:
        found: dict[str, Bare] = {}
        while self._next(";"):
            self.take(_SPACES, "space")
            key = self.take(_KEY, "a key")
            if key in found or len(found) >= MAX_MEMBERS:
                raise ValueError("a parameter that is there twice, or too many")
            found[key] = self._bare() if self._next("=") else True
        return found

    def _bare(self) -> Bare:
        first = self._text[self._at : self._at + 1]
        if first == '"':
            return _unescaped(self.take(_STRING, "a string"))
        if first == ":":
            encoded = self.take(_BYTES, "a byte sequence")
            data = b64decode(encoded, validate=True)
            if b64encode(data).decode("ascii") != encoded:
                raise ValueError("a byte sequence with another spelling")
            return data
        if first == "?":
            return self.take(_BOOLEAN, "a boolean") == "1"
        return int(self.take(_INTEGER, "an integer"))


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text
