"""Keep the code in README.md the same as the files that the tests run.

    python scripts/sync_readme.py            write the files' text into README.md
    python scripts/sync_readme.py --check    exit with 1 where it differs

An example stands in README.md as `<!-- example: PATH -->` on a line of its own, followed by a Python fence.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = re.compile(r"(<!-- example: (?P<path>\S+) -->\n```python\n)(?P<code>.*?)(```)", re.DOTALL)


def synced(text: str) -> str:
    """`text` with the code of each example as its file has it. Raises `OSError` where there is no such file."""

    def from_file(found: re.Match[str]) -> str:
        code = (ROOT / found["path"]).read_text(encoding="utf-8")
        return f"{found[1]}{code}{found[4]}"

    return EXAMPLE.sub(from_file, text)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where README.md differs")
    given = parser.parse_args()
    readme = ROOT / "README.md"
    is_now = readme.read_text(encoding="utf-8")
    should_be = synced(is_now)
    if not EXAMPLE.search(is_now):
        print("README.md has no example", file=sys.stderr)
        return 1
    if is_now == should_be:
        return 0
    if given.check:
        print("README.md differs from its examples: run python scripts/sync_readme.py", file=sys.stderr)
        return 1
    readme.write_text(should_be, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
