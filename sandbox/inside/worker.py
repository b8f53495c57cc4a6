"""The worker process: one loop over two pipes."""

import functools
import gc
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from sandbox.inside import facades, frames, locks, plain, template
from sandbox.inside.guards import ToolError
from sandbox.inside.policy import Refused, compile_handler
from sandbox.inside.program import HANDLERS, EndOfCall, Failed, Language, Programs, Unknown, call, require_entry

_CHUNK = 1 << 16
"""What a pipe holds. Much more would have the allocator map and unmap memory for each read."""
_OVERHEAD = 1 << 20
"""Address space that reading a call and writing its reply may take beside the handler's own, in bytes."""
_LEFT_BEHIND = 100
"""Objects that a call may leave for the collector before it is asked to run at once."""


class Pipe:
    """Frames in on descriptor 0, out on descriptor 1."""

    def __init__(self) -> None:
        self._buffer = b""

    def receive(self) -> tuple[int, bytes]:
        """The next frame. Ends the process where the host has closed the pipe."""
        buffer = self._buffer or os.read(0, _CHUNK)
        while len(buffer) < frames.HEAD.size:
            buffer += self._more(_CHUNK)
        length, kind = frames.HEAD.unpack_from(buffer)
        end = frames.HEAD.size + length
        if len(buffer) < end:
            parts, have = [buffer], len(buffer)
            while have < end:
                parts.append(self._more(max(_CHUNK, end - have)))
                have += len(parts[-1])
            buffer = b"".join(parts)
        self._buffer = buffer[end:]
        return kind, buffer[frames.HEAD.size : end]

    def _more(self, most: int) -> bytes:
        part = os.read(0, most)
        if not part:
            os._exit(0)
        return part

    def send(self, kind: int, *parts: bytes) -> None:
        """One frame."""
        data = frames.frame(kind, *parts)
        sent = os.write(1, data)
        while sent < len(data):
            sent += os.write(1, memoryview(data)[sent:])


class Call:
    """The host's side of one call: what its tool stubs talk to, and nothing once it is over."""

    __slots__ = ("_output_bytes", "_pipe", "over")

    def __init__(self, pipe: Pipe, output_bytes: int) -> None:
        self._pipe = pipe
        self._output_bytes = output_bytes
        self.over = False

    def tool(self, name: str) -> Callable[..., Any]:
        """The function that the handler sees under `name`."""

        def tool(*args: Any, **kwargs: Any) -> Any:
            return self._invoke(name, args, kwargs)

        tool.__name__ = name
        return tool

    def _invoke(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.over:
            raise EndOfCall
        try:
            request = _encode([name, list(args), kwargs], self._output_bytes)
        except plain.NotPlainValue as error:
            raise TypeError(f"the arguments of {name} are not plain JSON: {error}") from None
        except plain.TooMuch:
            raise ValueError(f"the arguments of {name} are too large") from None
        self._pipe.send(frames.TOOL, request)
        try:
            kind, payload = self._pipe.receive()
        except BaseException:  # noqa: BLE001 - out of memory, or of stack
            # Half a reply may be read, and the next one could not be told from the rest of it.
            os._exit(1)
        if kind == frames.RESULT_OF_TOOL:
            return plain.decode(payload)
        text = payload.decode()
        raise ToolError(text) if kind == frames.TOOL_FAILED else TypeError(text)


def serve(language: Language = HANDLERS) -> None:
    """Lock this process and answer calls until the host closes the pipe; or be the template of those that do."""
    _warm_up()
    if template.is_wanted():
        template.fork_workers()
    pipe = Pipe()
    config = json.loads(pipe.receive()[1])
    try:
        held = locks.lock(config["memory_bytes"] + _OVERHEAD, parent=config["parent"])
    except Exception as error:  # noqa: BLE001 - the host is told why, whatever it was
        pipe.send(frames.UNFIT, f"{type(error).__name__}: {error}".encode()[:300])
        return
    pipe.send(frames.READY, json.dumps(held).encode())
    programs = Programs(language)
    gc.collect()
    gc.freeze()
    while True:
        kind, payload = pipe.receive()
        try:
            if kind == frames.CALL:
                _answer(pipe, programs, language, payload)
            elif kind == frames.CHECK:
                _check(pipe, programs, payload)
        except MemoryError:
            pipe.send(frames.FAILED, b'["memory_bytes","",null]')
        payload = b""
        if gc.get_count()[0] > _LEFT_BEHIND:
            # What a call leaves in cycles goes while the host is busy, and not on the next call's account.
            gc.collect()


def _check(pipe: Pipe, programs: Programs, payload: bytes) -> None:
    header, source, _ = frames.read_request(payload)
    digest, entry, _, _ = _read_header(header)
    try:
        require_entry(programs.code(digest, source), entry)
    except Refused as refused:
        pipe.send(frames.VIOLATION, json.dumps(refused.violations).encode())
    else:
        pipe.send(frames.FINE)


def _answer(pipe: Pipe, programs: Programs, language: Language, payload: bytes) -> None:
    header, source, data = frames.read_request(payload)
    digest, entry, names, output_bytes = _read_header(header)
    exchange = Call(pipe, output_bytes)
    try:
        code = programs.code(digest, source)
        require_entry(code, entry)
        tools = {name: exchange.tool(name) for name in names}
        result = _encode(call(code, entry, plain.decode(data), tools, language), output_bytes)
    except Refused as refused:
        pipe.send(frames.VIOLATION, json.dumps(refused.violations).encode())
    except Unknown:
        pipe.send(frames.UNKNOWN)
    except Failed as failed:
        _send_failure(pipe, "failed", failed.text, failed.line)
    except plain.NotPlainValue as error:
        _send_failure(pipe, "failed", f"the result is not plain JSON: {error}", None)
    except plain.TooMuch:
        _send_failure(pipe, "output_bytes", "", None)
    except EndOfCall:
        _send_failure(pipe, "ended", "", None)
    except RecursionError:
        _send_failure(pipe, "failed", "RecursionError", None)
    else:
        pipe.send(frames.RETURNED, result)
    finally:
        exchange.over = True


@functools.lru_cache(maxsize=256)
def _read_header(header: bytes) -> tuple[str, str, tuple[str, ...], int]:
    read = json.loads(header)
    return read["digest"], read["entry"], tuple(read["tools"]), read["output_bytes"]


def _encode(value: Any, limit: int) -> bytes:
    # A finalizer that the collector runs is the handler's code, and must not change what was checked already.
    gc.disable()
    try:
        return plain.encode(value, limit)
    finally:
        gc.enable()


def _send_failure(pipe: Pipe, what: str, text: str, line: int | None) -> None:
    pipe.send(frames.FAILED, json.dumps([what, text, line]).encode())


def _warm_up() -> None:
    """Use once, before the files are out of reach, what imports or reads something on its first use."""
    for name in ("_strptime", "encodings.idna", "encodings.latin_1"):
        importlib.import_module(name)
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "ascii", "iso-8859-1", "utf8"):
        "a".encode(name).decode(name)
    source = (
        "from datetime import datetime\nfrom decimal import Decimal\nimport re, statistics\n"
        "class E(ValueError):\n    pass\n"
        "def handle(data):\n"
        "    d = datetime.strptime('2026-01-02', '%Y-%m-%d')\n"
        "    return [d.strftime('%d %b %Y'), f'{1.5:.2f}', str(Decimal('1.10') / 3), re.sub('a+', 'b', 'caat'),\n"
        "            statistics.mean([1, 2]), statistics.stdev([1, 2, 4]), '{:>5}'.format('x'), d.timestamp()]\n"
    )
    call(compile_handler(source), "handle", {}, {})
    for text in ("def handle(data:", "import os", "def handle(data):\n    return undefined"):
        try:
            call(compile_handler(text), "handle", {}, {})
        except (Refused, Failed):
            continue
    facades.close_codecs()
    # What the standard library would still import late is then missing; it does not go looking for files.
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.stdin = sys.stdout = sys.stderr = None
    sys.unraisablehook = lambda _: None
