"""The metadata of a document: written once so that every known Agora parser reads it, read from all of them.

What is written, line by line:

    # ---
    name: ...
    description: ...
    multiround: false
    # ---
    ---
    (the body)

A parser that looks for the text between the first two `---` (Agora 0.2.0) and one that reads lines up to the
first that is `---` (the Working Standard of 2025) both find the same three fields.
"""

import json
import re
from typing import NamedTuple

MAX_NAME = 200
"""Characters of a name; the rest is cut."""
MAX_DESCRIPTION = 1000
"""Characters of a description; the rest is cut."""

_HEADER_LINES = 64
_TAGS_WITHIN = 4096

_BLANKS = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_DASHES = re.compile(r"-{3,}")
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ,.()/'+_-]*[A-Za-z0-9.)])?")
# Words and numbers that YAML 1.1 does not read as text.
_NOT_TEXT = re.compile(r"y|n|yes|no|true|false|on|off|null|nan|inf", re.IGNORECASE)
_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)\s*:(?:\s+(.*))?")
_TAG = re.compile(r"<(NAME|DESCRIPTION)>(.*?)</\1>\s*", re.DOTALL)


class Header(NamedTuple):
    """What the top of a document says, and the text below it."""

    name: str
    description: str
    multiround: bool
    rest: str


def write_header(*, name: str, description: str, multiround: bool) -> str:
    """The lines above the body, the closing `---` and its newline included."""
    fields = {
        "name": _scalar(one_line(name, MAX_NAME) or "Untitled protocol"),
        "description": _scalar(one_line(description, MAX_DESCRIPTION) or "No description."),
        "multiround": "true" if multiround else "false",
    }
    lines = ["# ---", *(f"{key}: {value}" for key, value in fields.items()), "# ---", "---", ""]
    return "\n".join(lines)


def read_header(text: str) -> Header:
    """Read the header of any text; never fails.

    Knows the header above, YAML before one `---`, YAML between two, and the `<NAME>` and `<DESCRIPTION>` tags of
    the paper's demo. A text with none of them is named by its first line, and described by its first paragraph
    after that.
    """
    plain = text.removeprefix("\ufeff")
    return _yaml_header(plain) or _tag_header(plain) or _no_header(plain)


def one_line(text: str, most: int) -> str:
    """Make a text safe to stand in a header: one line, no control characters, no `---`, at most `most` characters."""
    line = _BLANKS.sub(" ", _UNPRINTABLE.sub("", text)).strip()
    return _DASHES.sub("--", line)[:most].rstrip()


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _NOT_TEXT.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _yaml_header(text: str) -> Header | None:
    lines = text.split("\n", _HEADER_LINES + 1)
    rules = [index for index, line in enumerate(lines) if line.rstrip() == "---"]
    # Above the first rule; else between the first two, with anything above them.
    for first, end in zip([0, *(rule + 1 for rule in rules)], rules[:2], strict=False):
        fields = _fields(lines[first:end])
        if fields and ("name" in fields or "description" in fields):
            rest = "\n".join(lines[end + 1 :])
            return Header(
                name=one_line(fields.get("name", ""), MAX_NAME) or _no_header(rest).name,
                description=one_line(fields.get("description", ""), MAX_DESCRIPTION),
                multiround=fields.get("multiround", "").lower() in ("true", "yes", "on"),
                rest=rest,
            )
    return None


def _fields(lines: list[str]) -> dict[str, str] | None:
    """Top-level `key: value` lines with their continuations; None where a line is neither."""
    fields: dict[str, str] = {}
    key = None
    for raw in lines:
        line = raw.rstrip()
        if not line or line.startswith("#"):
            continue
        if line[0] in " \t":
            if key is None:
                return None
            fields[key] += " " + line.strip()
        elif match := _FIELD.fullmatch(line):
            key = match[1].lower()
            fields[key] = (match[2] or "").strip()
        else:
            return None
    return {key: _unquoted(value) for key, value in fields.items()}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    block = re.match(r"[|>][+-]?[0-9]?(?:\s|$)", value)
    return value[block.end() :] if block else value.split(" #", 1)[0]


def _tag_header(text: str) -> Header | None:
    tags = {match[1]: match[2] for match in _TAG.finditer(text[:_TAGS_WITHIN])}
    if "NAME" not in tags:
        return None
    return Header(
        name=one_line(tags["NAME"], MAX_NAME) or "Untitled protocol",
        description=one_line(tags.get("DESCRIPTION", ""), MAX_DESCRIPTION),
        multiround=False,
        rest=_TAG.sub("", text[:_TAGS_WITHIN]) + text[_TAGS_WITHIN:],
    )


def _no_header(text: str) -> Header:
    lines = iter(text[:_TAGS_WITHIN].split("\n"))
    title = next((line for line in lines if line.strip().strip("#=*-")), "")
    paragraph: list[str] = []
    for line in lines:
        if not line.strip().strip("#=*-") and paragraph:
            break
        if line.strip().strip("#=*-"):
            paragraph.append(line)
    return Header(
        name=one_line(title.strip().strip("#*= "), MAX_NAME) or "Untitled protocol",
        description=one_line(" ".join(paragraph), MAX_DESCRIPTION),
        multiround=False,
        rest=text,
    )
