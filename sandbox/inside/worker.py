"""The worker process: one loop over two pipes."""

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from sandbox.inside import frames, locks, plain
from sandbox.inside.guards import ToolError
from sandbox.inside.policy import Refused, compile_handler
from sandbox.inside.program import HANDLERS, EndOfCall, Failed, Language, Programs, Unknown, call, require_entry

_CHUNK = 1 << 16
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
        while len(self._buffer) < frames.HEAD.size:
            self._more()
        length, kind = frames.HEAD.unpack_from(self._buffer)
        end = frames.HEAD.size + length
        if len(self._buffer) < end:
            parts, have = [self._buffer], len(self._buffer)
            while have < end:
                part = os.read(0, max(_CHUNK, end - have))
                if not part:
                    os._exit(0)
                parts.append(part)
                have += len(part)
            self._buffer = b"".join(parts)
        payload, self._buffer = self._buffer[frames.HEAD.size : end], self._buffer[end:]
        return kind, payload

    def _more(self) -> None:
        part = os.read(0, _CHUNK)
        if not part:
            os._exit(0)
        self._buffer += part

    def send(self, kind: int, *parts: bytes) -> None:
        """One frame."""
        rest = memoryview(frames.frame(kind, *parts))
        while rest:
            rest = rest[os.write(1, rest) :]


class Call:
    """The host's side of one call: what its tool stubs talk to, and nothing once it is over."""

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
            request = plain.encode([name, list(args), kwargs], self._output_bytes)
        except plain.NotPlainValue as error:
            raise TypeError(f"the arguments of {name} are not plain JSON: {error}") from None
        except plain.TooMuch:
            raise ValueError(f"the arguments of {name} are too large") from None
        self._pipe.send(frames.TOOL, request)
        kind, payload = self._pipe.receive()
        if kind == frames.RESULT_OF_TOOL:
            return json.loads(payload.decode())
        text = payload.decode()
        raise ToolError(text) if kind == frames.TOOL_FAILED else TypeError(text)


def serve(language: Language = HANDLERS) -> None:
    """Lock this process and answer calls until the host closes the pipe."""
    pipe = Pipe()
    config = json.loads(pipe.receive()[1])
    _warm_up()
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


def _header(payload: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(payload[:4], "big")
    return json.loads(payload[4 : 4 + size].decode()), payload[4 + size :]


def _check(pipe: Pipe, programs: Programs, payload: bytes) -> None:
    header, _ = _header(payload)
    try:
        require_entry(programs.code(header["digest"], header["source"]), header["entry"])
    except Refused as refused:
        pipe.send(frames.VIOLATION, json.dumps(refused.violations).encode())
    else:
        pipe.send(frames.FINE)


def _answer(pipe: Pipe, programs: Programs, language: Language, payload: bytes) -> None:
    header, data = _header(payload)
    entry = header["entry"]
    exchange = Call(pipe, header["output_bytes"])
    try:
        code = programs.code(header["digest"], header.get("source"))
        require_entry(code, entry)
        tools = {name: exchange.tool(name) for name in header["tools"]}
        result = plain.encode(call(code, entry, json.loads(data.decode()), tools, language), header["output_bytes"])
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
    # What the standard library would still import late is then missing; it does not go looking for files.
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.stdin = sys.stdout = sys.stderr = None
    sys.unraisablehook = lambda _: None
