"""A process that compiles one source under the language of handlers, says what it found, and ends.

For executors whose interpreter is not this one: the language's wall stands before theirs, and the host parses
nothing of a stranger's. Reads one JSON object on standard input, writes one on standard output.
"""

import ast
import contextlib
import json
import sys
from collections.abc import Iterator

from sandbox.inside.policy import Refused, compile_handler
from sandbox.inside.program import require_entry

CPU_SECONDS = 10
MEMORY_BYTES = 512 * 1024 * 1024


def serve() -> None:
    """Answer the one request."""
    _limit()
    request = json.loads(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(found_in(request["source"], request["entry"])))


def found_in(source: str, entry: str) -> dict[str, list[tuple[int | None, str]]]:
    """`violations` with their lines, and where there are none `imports` as statements of one name with theirs."""
    try:
        require_entry(compile_handler(source), entry)
    except Refused as refused:
        return {"violations": refused.violations, "imports": []}
    return {"violations": [], "imports": list(_imports(ast.parse(source)))}


def _limit() -> None:
    # Where there are such limits; the host's deadline stands everywhere.
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - Unix has it

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _imports(tree: ast.AST) -> Iterator[tuple[int | None, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names, lineno=line):
                yield from ((line, f"import {alias.name}") for alias in names)
            case ast.ImportFrom(names=names, module=str(module), lineno=line) if module != "__future__":
                yield from ((line, f"from {module} import {alias.name}") for alias in names)
