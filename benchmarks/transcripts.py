"""What was done, one JSON object a line, so that a run that was stopped goes on with what is not there yet."""

import json
from pathlib import Path

from negotiator.jsonvalue import JsonObject

FORMAT = 1
"""Of the rows; another one is written anew."""


class Transcript:
    """The rows of one piece of work, after a first line that says what they are of.

    Rows of other work under the same name are thrown away, and so is a last line that was cut off.
    """

    def __init__(self, path: Path, of: JsonObject) -> None:
        self._path = path
        header: JsonObject = {"format": FORMAT, **of}
        self.rows: list[JsonObject] = []
        """Those that are there, in order."""
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        if lines and _read(lines[0]) == header:
            self.rows = [row for row in map(_read, lines[1:]) if row is not None]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in [header, *self.rows]), encoding="utf-8")

    def add(self, row: JsonObject) -> None:
        """Write one row more; it stands when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(row)}\n")
        self.rows.append(row)


def _read(line: str) -> JsonObject | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
