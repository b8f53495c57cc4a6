"""How messages of MCP's client get to a server: over HTTP, or to a process of ours by pipes."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final, Protocol

from negotiator.clock import Deadline
from negotiator.dialects.json_rpc import RpcError, error, notification, request, result, to_bytes
from negotiator.dialects.mcp import progress, sse
from negotiator.dialects.mcp.client import read_message
from negotiator.dialects.mcp.words import METHOD_HEADER, SESSION_HEADER
from negotiator.errors import PeerError, PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.events import Listener, emit, listener
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mcp.elicitation import Elicit, reply_to
from negotiator.oauth.errors import AuthorizationNeeded
from negotiator.wire import StreamTransport, Transport, WireReply, WireRequest

MAX_RESUMED: Final = 8
"""Times that one stream is gone on with."""
MAX_SESSION: Final = 1_024
"""Characters of a session's name."""
MAX_MESSAGE: Final = 4_194_304
"""Bytes of one message of a server's."""
_ACCEPT: Final = "application/json, text/event-stream"
_ENVIRONMENT: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""What a server's process is told of ours, beside what it is given: nothing that may be a secret."""
_END_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 1.0
_UNAUTHORIZED, _FORBIDDEN = 401, 403


class SessionEnded(PeerError):
    """The server knows the session no longer, and has done nothing: a new one may be begun."""


class Link(Protocol):
    """One way to one server."""

    http: bool
    """Whether messages travel with headers."""

    async def call(self, method: str, params: JsonObject, deadline: Deadline, headers: Mapping[str, str]) -> JsonObject:
        """One request and its result.

        Raises `RpcError` for an error of the server's, `SessionEnded`, `PeerUnreachable` where nothing was sent,
        `PeerHungUp` where something was and no response came, and `PeerMisspoke` where what came is none.
        """
        ...

    async def notify(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> None:
        """Send a notification. Raises as `call` does."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...


def _outcome(message: JsonObject) -> JsonObject:
    """The result of a response. Raises `RpcError` and `PeerMisspoke`."""
    problem, made = message.get("error"), message.get("result")
    if isinstance(problem, dict):
        code, words = problem.get("code"), problem.get("message")
        raise RpcError(
            code if isinstance(code, int) else 0,
            words[:300] if isinstance(words, str) else "the server gave no reason",
            data=problem.get("data"),
        )
    if not isinstance(made, dict):
        raise PeerMisspoke("the server's response has neither a result nor an error")
    return made


async def _to_server(message: JsonObject, peer: str, elicit: Elicit | None) -> JsonObject | None:
    """The answer to something that a server asks of its client; None where it asked nothing."""
    identifier, method, params = message.get("id"), message.get("method"), message.get("params", {})
    if not isinstance(method, str) or not isinstance(identifier, str | int):
        return None
    try:
        return result(await reply_to(elicit, peer, method, params if isinstance(params, dict) else {}), identifier)
    except RpcError as problem:
        return error(RpcError(problem.code, str(problem), id=identifier))


def _watched(method: str, params: JsonObject, number: int) -> JsonObject:
    """The parameters of a call that somebody listens to: its server is asked to tell how far it is."""
    if method != "tools/call" or listener() is None:
        return params
    meta = params.get("_meta")
    return {**params, "_meta": {**(meta if isinstance(meta, dict) else {}), progress.TOKEN: number}}


class HttpLink:
    """Streamable HTTP, through any transport."""

    http = True

    def __init__(self, transport: Transport, url: str, elicit: Elicit | None = None) -> None:
        self._transport = transport
        self._url = url
        self._elicit = elicit
        self._number = 0
        self._session: str | None = None
        self._headers: dict[str, str] = {}

    async def call(self, method: str, params: JsonObject, deadline: Deadline, headers: Mapping[str, str]) -> JsonObject:
        """See `Link.call`."""
        self._number += 1
        number = self._number
        self._headers = dict(headers)
        async with self._listening(method, deadline, headers):
            return await self._called(method, params, number, deadline, headers)

    async def _called(
        self, method: str, params: JsonObject, number: int, deadline: Deadline, headers: Mapping[str, str]
    ) -> JsonObject:
        wire = await self._post(request(method, _watched(method, params, number), number), deadline, headers)
        if method == "initialize":
            self._session = _session_of(wire)
        media = wire.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media == sse.MEDIA_TYPE and wire.status == 200:  # noqa: PLR2004 - HTTP
            return _outcome(await self._from_events(wire, number, deadline))
        body = await _whole(wire)
        if wire.status == _UNAUTHORIZED or (wire.status == _FORBIDDEN and "www-authenticate" in wire.headers):
            raise AuthorizationNeeded(f"{self._url} asks for an authorization: see Agent(oauth=OAuthClient(...))")
        if media == "application/json":
            message = read_message(body)
            # Of a request that was refused unread some servers do not know the id, and say one of their own.
            if message.get("id") != number and "error" not in message:
                raise PeerMisspoke("the server's response answers another request")
            if wire.status == 404 and self._session is not None and message.get("id") != number:  # noqa: PLR2004
                self._ended()
            return _outcome(message)
        return self._no_message(wire.status)

    async def notify(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> None:
        """See `Link.notify`."""
        await _whole(await self._post(notification(method), deadline, headers))

    async def aclose(self) -> None:
        """See `Link.aclose`; a session ends by itself."""

    def _ended(self) -> None:
        self._session = None
        raise SessionEnded("the server knows the session no longer")

    def _no_message(self, status: int) -> JsonObject:
        if status == 404 and self._session is not None:  # noqa: PLR2004 - HTTP
            self._ended()
        if status in (502, 504):
            raise PeerHungUp(f"a gateway before the server answered {status}")
        if 400 <= status < 500:  # noqa: PLR2004 - HTTP
            raise RpcError(0, f"the server refused the request with HTTP {status}")
        raise PeerMisspoke(f"the server answered HTTP {status} and no message")

    async def _post(self, message: JsonObject, deadline: Deadline, headers: Mapping[str, str]) -> WireReply:
        said = {"content-type": "application/json", "accept": _ACCEPT, **headers}
        if self._session is not None:
            said[SESSION_HEADER] = self._session
        return await self._carried(WireRequest(headers=said, body=to_bytes(message)), deadline)

    async def _carried(self, wire: WireRequest, deadline: Deadline) -> WireReply:
        if isinstance(self._transport, StreamTransport):
            return await self._transport.open(self._url, wire, deadline=deadline)
        return await self._transport.send(self._url, wire, deadline=deadline)

    async def _from_events(self, wire: WireReply, number: int, deadline: Deadline) -> JsonObject:
        """The response among the events; what a server asks on the way is answered.

        A stream of the handshake era that ends before the response is gone on with, where its server lets it
        (2025-11-25, transports: resumability).
        """
        reader = sse.EventReader(MAX_MESSAGE)
        for _ in range(MAX_RESUMED):
            found = await self._read(wire, reader, number, deadline)
            if found is not None:
                return found
            wait = _RETRY_SECONDS if reader.retry is None else reader.retry
            if reader.last_id is None or METHOD_HEADER in self._headers or deadline.remaining() <= wait:
                break
            await asyncio.sleep(wait)
            going_on = await self._get(deadline, self._headers, {"last-event-id": reader.last_id})
            if going_on is None:
                break
            wire, before = going_on, reader
            reader = sse.EventReader(MAX_MESSAGE)
            reader.last_id, reader.retry = before.last_id, before.retry
        raise PeerHungUp("the server's stream ended before its response")

    async def _read(
        self, wire: WireReply, reader: sse.EventReader, number: int | None, deadline: Deadline
    ) -> JsonObject | None:
        """The response of that number among the events of a stream; None where it ended before it."""

        async def taken(part: bytes) -> JsonObject | None:
            for data in reader.feed(part):
                message = read_message(data) if data else {}
                if message.get("id") == number and number is not None and "method" not in message:
                    return message
                if (told := progress.read(message)) is not None:
                    if told[0] == number:
                        emit(told[1])
                    continue
                answer = await _to_server(message, self._url, self._elicit)
                if answer is not None:
                    await _whole(await self._post(answer, deadline, self._headers))
            return None

        if wire.chunks is None:
            return await taken(wire.body + b"\n\n")
        async with aclosing(wire.chunks) as chunks:
            async for part in chunks:
                if (found := await taken(part)) is not None:
                    return found
        return None

    async def _get(self, deadline: Deadline, headers: Mapping[str, str], more: Mapping[str, str]) -> WireReply | None:
        """A stream of events from the server; None where it gives none, as it may."""
        said = {"accept": sse.MEDIA_TYPE, **headers, **more}
        if self._session is not None:
            said[SESSION_HEADER] = self._session
        wire = await self._carried(WireRequest(method="GET", headers=said), deadline)
        media = wire.headers.get("content-type", "").partition(";")[0].strip().lower()
        if wire.status == 200 and media == sse.MEDIA_TYPE:  # noqa: PLR2004 - HTTP
            return wire
        if wire.chunks is not None:
            await wire.chunks.aclose()
        return None

    @asynccontextmanager
    async def _listening(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> AsyncIterator[None]:
        """Hear, while a tool is called, what a server of the handshake era asks beside the call's own stream."""
        asks = self._elicit is not None and self._session is not None and METHOD_HEADER not in headers
        streams = isinstance(self._transport, StreamTransport)
        wire = await self._get(deadline, headers, {}) if asks and streams and method == "tools/call" else None
        if wire is None:
            yield
            return
        hearing = asyncio.create_task(self._read(wire, sse.EventReader(MAX_MESSAGE), None, deadline))
        try:
            yield
        finally:
            hearing.cancel()
            # What became of that stream is nothing to the call: the server answers that on its own.
            await asyncio.gather(hearing, return_exceptions=True)


def _session_of(wire: WireReply) -> str | None:
    """The session that a server begins. Raises `PeerMisspoke` for a name that no header can hold (2025-11-25)."""
    named = wire.headers.get(SESSION_HEADER)
    if named is not None and not (len(named) <= MAX_SESSION and all("!" <= each <= "~" for each in named)):
        raise PeerMisspoke("the server's session has a name that cannot be said")
    return named


async def _whole(wire: WireReply) -> bytes:
    if wire.chunks is None:
        return wire.body
    async with aclosing(wire.chunks) as chunks:
        return b"".join([part async for part in chunks])


class StdioLink:
    """A server in a process of ours, begun at the first need and again where it ended."""

    http = False

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, peer: str = "", elicit: Elicit | None = None
    ) -> None:
        self._peer = peer
        self._elicit = elicit
        self._answering: set[asyncio.Task[None]] = set()
        self._command = tuple(command)
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._number = 0
        self._waiting: dict[JsonValue, asyncio.Future[JsonObject]] = {}
        self._listening: dict[JsonValue, Listener] = {}

    async def call(
        self,
        method: str,
        params: JsonObject,
        deadline: Deadline,
        headers: Mapping[str, str],  # noqa: ARG002 - pipes have none
    ) -> JsonObject:
        """See `Link.call`."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        fresh = method in ("server/discover", "initialize")
        process = await self._running(fresh=fresh)
        self._waiting[number] = answer
        hears = listener()
        if hears is not None:
            self._listening[number] = hears
        try:
            async with asyncio.timeout(max(deadline.remaining(), 0)) as timer:
                await self._write(process, request(method, _watched(method, params, number), number))
                message = await answer
        except TimeoutError:
            if timer.expired():
                raise PeerHungUp("no response by the deadline") from None
            raise
        finally:
            self._waiting.pop(number, None)
            self._listening.pop(number, None)
        return _outcome(message)

    async def notify(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        """See `Link.notify`."""
        await self._write(await self._running(fresh=False), notification(method))

    async def aclose(self) -> None:
        """End the process: its input first, then it."""
        process, self._process = self._process, None
        if process is None:
            return
        reading = self._reading
        if process.stdin is not None:
            process.stdin.close()
        for end in (process.terminate, process.kill):
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await process.wait()
                break
            except TimeoutError:
                with suppress(ProcessLookupError):
                    end()
        if reading is not None:
            await reading
        for answering in self._answering:
            answering.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _running(self, *, fresh: bool) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return self._process
            if not fresh:
                raise SessionEnded("the server's process has ended")
            inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    env={**inherited, **self._environment},
                    limit=MAX_MESSAGE,
                )
            except OSError as problem:
                raise PeerUnreachable(f"the server cannot be started: {problem.strerror or problem}") from problem
            self._reading = asyncio.create_task(self._read(self._process))
            return self._process

    async def _write(self, process: asyncio.subprocess.Process, message: JsonObject) -> None:
        stdin: Any = process.stdin
        try:
            stdin.write(to_bytes(message) + b"\n")
            await stdin.drain()
        except (OSError, RuntimeError) as problem:
            raise PeerHungUp("the server's process has ended") from problem

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        stdout: Any = process.stdout
        why: PeerError = PeerHungUp("the server's process ended before its response")
        try:
            while line := await stdout.readline():
                # What is no message is the server's chatter; the specification has it write none.
                with suppress(PeerMisspoke):
                    await self._hear(process, read_message(line))
        except ValueError:
            why = PeerMisspoke("the server's message is larger than one may be")
        except PeerHungUp:
            pass
        # It says no more: whatever else it does, the next request gets another.
        if self._process is process:
            self._process = None
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(why)

    async def _hear(self, process: asyncio.subprocess.Process, message: JsonObject) -> None:
        if (told := progress.read(message)) is not None:
            hears = self._listening.get(told[0])
            if hears is not None:
                hears(told[1])
            return
        if "method" in message:
            # Beside the reading: an answer may take a person's time, and what else comes goes on.
            answering = asyncio.create_task(self._answer(process, message))
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)
            return
        identifier = message.get("id")
        waiting = self._waiting.get(identifier) if isinstance(identifier, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def _answer(self, process: asyncio.subprocess.Process, message: JsonObject) -> None:
        answer = await _to_server(message, self._peer, self._elicit)
        if answer is not None:
            # Whoever waits for a process that ended is told so where it is read.
            with suppress(PeerHungUp):
                await self._write(process, answer)
