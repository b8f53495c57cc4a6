"""What a person sees of work that takes longer than a second: one line on standard error."""

import sys
from typing import TextIO


class Progress:
    """One line that changes on a terminal; elsewhere a line each time the work changes its name."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._kind = ""
        self._width = 0

    def at(self, text: str) -> None:
        """`text` is what is going on; what stands before its first `:` names the work."""
        kind = text.partition(":")[0]
        if self._stream.isatty():
            self._stream.write("\r" + text[:100].ljust(self._width))
            self._width = len(text[:100])
        elif kind != self._kind:
            self._stream.write(text + "\n")
        self._kind = kind
        self._stream.flush()

    def end(self) -> None:
        """The line stands; what follows begins on a new one."""
        if self._width:
            self._stream.write("\n")
        self._kind, self._width = "", 0
        self._stream.flush()
