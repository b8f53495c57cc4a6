"""The host's half of one call, without I/O: which bytes to send, what the worker's frames mean."""

import functools
import hashlib
import inspect
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.errors import (
    TEXT_LIMIT,
    HandlerFailed,
    LimitExceeded,
    NotPlain,
    PolicyViolation,
    SandboxError,
    ToolError,
    WorkerDied,
)
from sandbox.inside import frames, plain
from sandbox.limits import MAX_DATA_BYTES, MAX_SOURCE_BYTES, Limits

_NOTHING_BUT_JSON = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
FRAME_SLACK = 4096
"""Bytes that a worker's frame may have beside its payload's own limit."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The handler wants this tool called; nothing was called yet."""

    tool: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Returned:
    """The handler's result, checked."""

    value: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send at once: the tool was not called."""

    frame: bytes


class Misspoke(WorkerDied):
    """The worker broke the protocol between us: whatever runs in it is no longer ours."""


@functools.lru_cache(maxsize=128)
def digest_of(source: str) -> str:
    """SHA-256 of a source.

    Raises:
        PolicyViolation: It is longer than 64 KiB, or not text.
    """
    if len(source) <= MAX_SOURCE_BYTES:
        try:
            encoded = source.encode()
        except UnicodeEncodeError:
            raise PolicyViolation(((None, "the source holds half a surrogate pair"),)) from None
        if len(encoded) <= MAX_SOURCE_BYTES:
            return hashlib.sha256(encoded).hexdigest()
    raise PolicyViolation(((None, f"the source is longer than {MAX_SOURCE_BYTES} bytes"),))


def encode_host_value(value: Any, what: str, limit: int = MAX_DATA_BYTES) -> bytes:
    """The host's own value as JSON; a member of an enum is its value, a UUID its text.

    Raises:
        NotPlain: It is not plain finite JSON, or larger than `limit` bytes.
    """
    try:
        text = orjson.dumps(value, option=_NOTHING_BUT_JSON)
    except orjson.JSONEncodeError as error:
        raise NotPlain(f"{what} is not plain JSON: {error}"[:TEXT_LIMIT]) from None
    if b"null" in text and not plain.finite((value,)):
        raise NotPlain(f"{what} is not plain JSON: a number is not finite (NaN or infinity)")
    if len(text) > limit:
        raise NotPlain(f"{what} has more than {limit} bytes of JSON")
    return text


def decode_strangers_value(text: bytes) -> Any:
    """What a worker sent, as JSON of exact types, finite and not nested too deep.

    Raises:
        Misspoke: It is anything else.
    """
    try:
        value = orjson.loads(text)
        # Fewer brackets than levels cannot nest too deep; everything else the parser has refused already.
        if text.count(b"[") + text.count(b"{") > plain.MAX_DEPTH:
            plain.check(value, len(text) + 1)
    except (ValueError, plain.TooMuch):
        raise Misspoke("the worker sent what is not plain JSON") from None
    return value


@functools.lru_cache(maxsize=1024)
def _header(digest: str, entry: str, tools: tuple[str, ...], output_bytes: int) -> bytes:
    for name in (entry, *tools):
        if not name.isidentifier() or name.startswith("_"):
            raise ValueError(f"{name!r} is not a name without a leading underscore, as entries and tools have")
    header = {"digest": digest, "entry": entry, "tools": tools, "output_bytes": output_bytes}
    return frames.part(json.dumps(header).encode())


class Exchange:
    """One call."""

    __slots__ = (
        "_argument_bytes_left", "_calls_left", "_data", "_header", "_limits", "_result_bytes_left", "_source_sent",
        "_tools", "digest", "source",
    )  # fmt: skip

    def __init__(
        self, source: str, data: Any, tools: Mapping[str, Callable[..., Any]], limits: Limits, entry: str
    ) -> None:
        self.digest = digest_of(source)
        self.source = source
        self._data = encode_host_value(data, "the data")
        self._tools = tools
        self._limits = limits
        self._header = _header(self.digest, entry, tuple(tools), limits.output_bytes)
        self._source_sent = False
        self._calls_left = limits.tool_calls
        self._argument_bytes_left = limits.output_bytes
        self._result_bytes_left = MAX_DATA_BYTES

    @property
    def frame_limit(self) -> int:
        """The longest payload that the worker may send."""
        return self._limits.output_bytes + FRAME_SLACK

    def request(self, *, with_source: bool) -> bytes:
        """The first frame to the worker."""
        self._source_sent = with_source
        source = frames.part(self.source.encode()) if with_source else frames.NO_SOURCE
        return frames.frame(frames.CALL, self._header, source, self._data)

    def receive(self, kind: int, payload: bytes) -> Returned | ToolCall | Reply:
        """What one frame of the worker means.

        Raises:
            SandboxError: The call has ended, in this way.
        """
        if kind == frames.RETURNED:
            return Returned(self._plain(payload))
        if kind == frames.TOOL:
            return self._tool_call(payload)
        if kind == frames.UNKNOWN and not self._source_sent:
            return Reply(self.request(with_source=True))
        raise failure(kind, payload, self._limits)

    def _plain(self, payload: bytes) -> Any:
        if len(payload) > self._limits.output_bytes:
            raise LimitExceeded("output_bytes", f"more than {self._limits.output_bytes} bytes of output")
        return decode_strangers_value(payload)

    def _tool_call(self, payload: bytes) -> ToolCall | Reply:
        if self._calls_left == 0:
            raise LimitExceeded("tool_calls", f"more than {self._limits.tool_calls} tool calls")
        self._calls_left -= 1
        self._argument_bytes_left -= len(payload)
        if self._argument_bytes_left < 0:
            raise LimitExceeded("output_bytes", f"more than {self._limits.output_bytes} bytes of tool arguments")
        match self._plain(payload):
            case [str(name), list(args), dict(kwargs)] if name in self._tools:
                tool = self._tools[name]
                if problem := misuse(tool, name, args, kwargs):
                    return Reply(frames.frame(frames.TOOL_MISUSED, problem[:TEXT_LIMIT].encode()))
                return ToolCall(tool, args, kwargs)
        raise Misspoke("the worker asked for a tool that it was not given")

    def tool_result(self, value: Any) -> bytes:
        """The frame that hands a tool's result to the handler.

        Raises:
            NotPlain: The result is not plain JSON, or the results together are more than 8 MiB.
        """
        text = encode_host_value(value, "a tool's result", self._result_bytes_left)
        self._result_bytes_left -= len(text)
        return frames.frame(frames.RESULT_OF_TOOL, text)

    def tool_failed(self, error: ToolError) -> bytes:
        """The frame that raises `ToolError` in the handler."""
        return frames.frame(frames.TOOL_FAILED, str(error)[:TEXT_LIMIT].encode(errors="replace"))


def misuse(tool: Callable[..., Any], name: str, args: list[Any], kwargs: dict[str, Any]) -> str | None:
    """Why these arguments do not fit the tool's signature; None where they do or it has none."""
    signature = _signature(tool)
    if signature is None:
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return f"{name}(): {error}"
    return None


def _signature(tool: Callable[..., Any]) -> inspect.Signature | None:
    if type(tool) is types.FunctionType and not tool.__dict__:
        return _signature_of_code(tool.__code__, len(tool.__defaults__ or ()), tuple(tool.__kwdefaults__ or ()))
    try:
        return inspect.signature(tool)
    except (TypeError, ValueError):
        return None


@functools.lru_cache(maxsize=256)
def _signature_of_code(code: types.CodeType, defaults: int, keyword_defaults: tuple[str, ...]) -> inspect.Signature:
    # Tools are made anew for each request, of one code: what they take is read once, and no tool is kept.
    cells = tuple(types.CellType() for _ in code.co_freevars)
    same = types.FunctionType(code, {}, None, (None,) * defaults, cells)
    same.__kwdefaults__ = dict.fromkeys(keyword_defaults)
    return inspect.signature(same)


def check_request(source: str, entry: str) -> bytes:
    """The frame that asks a worker to compile."""
    return frames.frame(frames.CHECK, _header(digest_of(source), entry, (), 0), frames.part(source.encode()))


def failure(kind: int, payload: bytes, limits: Limits) -> SandboxError:
    """The error that a frame of the worker stands for."""
    try:
        value = decode_strangers_value(payload)
    except Misspoke as misspoke:
        return misspoke
    match value:
        case list() if kind == frames.VIOLATION:
            return PolicyViolation(tuple(_violation(item) for item in value[:20]))
        case ["failed", str(text), int() | None as line] if kind == frames.FAILED:
            return HandlerFailed(text, line)
        case ["memory_bytes", *_] if kind == frames.FAILED:
            return LimitExceeded("memory_bytes", f"more than {limits.memory_bytes} bytes of memory")
        case ["output_bytes", *_] if kind == frames.FAILED:
            return LimitExceeded("output_bytes", f"more than {limits.output_bytes} bytes of output")
    return Misspoke("the worker sent what nobody asked for")


def _violation(item: Any) -> tuple[int | None, str]:
    match item:
        case [int() | None as line, str(what)]:
            return line, what[:600]
    return None, "the source was refused"
