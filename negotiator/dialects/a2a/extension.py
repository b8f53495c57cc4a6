"""Our extension of A2A: protocol documents, named by hash, for what A2A has no schema of.

An agent's card declares it with the documents that the agent lists, the schemas of its skills and the documents that
it negotiates by. A message is under a document when its metadata name one; the body is then its data part, or its
text. Keys of metadata are prefixed by the extension's URI (specification 1.0, 4.6).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from negotiator.jsonvalue import JsonObject

URI: Final = "https://w3id.org/metaparley/protocol-documents/v1"
HEADER: Final = "a2a-extensions"
EARLIER_HEADER: Final = "x-a2a-extensions"
"""As 0.3 has it."""
DOCUMENT: Final = f"{URI}/document"
"""Of a message, a reply and a task: the document's hash, `sha256:<hex>`, or a list of spellings of it."""
SOURCES: Final = f"{URI}/sources"
"""Of a message: where the document is to be had, a list of texts."""
SKILL: Final = f"{URI}/skill"
"""Of a message: the id of the skill whose input its data part is."""
TIER: Final = f"{URI}/tier"
"""Of a reply: how it was made."""
CODE: Final = f"{URI}/code"
"""Of a task that failed or was rejected: what went wrong, in one word."""
PROGRESS: Final = f"{URI}/progress"
"""Of what an agent says of a task under way: how far it is, from 0 to 1."""
SKILL_NAMES: Final = (SKILL, "skillId", "skill_id", "skill")
"""What names a skill in metadata: A2A has no word for it, and clients have several."""

MAX_REQUESTED: Final = 32
_COMMA: Final = re.compile(r"\s*,\s*")


def requested(headers: Mapping[str, str], named: Iterable[str] = ()) -> tuple[str, ...]:
    """The extensions that a request asks for, by header or by message (the SDKs differ in which they write)."""
    given = [*_COMMA.split(headers.get(HEADER, "")), *_COMMA.split(headers.get(EARLIER_HEADER, "")), *named]
    return tuple(dict.fromkeys(each.strip() for each in given if each.strip()))[:MAX_REQUESTED]


def texts(metadata: JsonObject, key: str, at_most: int = 16) -> tuple[str, ...]:
    """A member of metadata that is a text or a list of them; what is neither is left out."""
    given = metadata.get(key)
    listed = given if isinstance(given, list) else [given]
    return tuple(each for each in listed[:at_most] if isinstance(each, str) and each)
