"""Unguessable identifiers, drawn from the system in blocks: one at a time, the drawing is dearer than the rest of them."""

import os
import re
from base64 import urlsafe_b64encode
from typing import Final

_BYTES: Final = 18
"""Of one: 144 bits, which are 24 characters without padding."""
_BLOCK: Final = 64
_ONE: Final = re.compile(".{24}")
_drawn: list[str] = []
if hasattr(os, "register_at_fork"):  # not on Windows, where nobody is forked off
    # Who is would give the same ones as its parent.
    os.register_at_fork(after_in_child=_drawn.clear)


def new_id() -> str:
    """An identifier that nobody can guess: 24 characters of A-Z a-z 0-9 - _. Safe in threads and after a fork."""
    try:
        return _drawn.pop()
    except IndexError:
        first: str
        first, *more = _ONE.findall(urlsafe_b64encode(os.urandom(_BYTES * _BLOCK)).decode())
        _drawn.extend(more)
        return first
