"""An agent as an ASGI 3 application, for any ASGI server, alone or mounted under a prefix of a larger one.

It needs no lifespan events and answers them where they come. A body over the limit is refused before it is read
where its length is announced, else as soon as it passes the limit; never is more than the limit held.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable
from urllib.parse import quote

from negotiator.in_time import OutOfTime, by
from negotiator.transports.asgi_replies import Receive, Send, respond, stream
from negotiator.wire import ANONYMOUS, Door, SeveralDoors, WireHandler, WireReply, WireRequest

Scope: TypeAlias = MutableMapping[str, Any]
PrincipalOf: TypeAlias = Callable[[Scope], str | None]
"""From an ASGI scope to the name of whom the host vouches for; None where it vouches for nobody."""

HOST: Final = "host:"
"""What the principal begins with that a host vouches for, so that none passes for a DID."""

_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_STATUSES: Final = {"slow_request": 408, "too_large": 413}


@runtime_checkable
class WarmDoors(SeveralDoors, Protocol):
    """Doors with a short way past them for requests that need nothing but an answer; see `negotiator.warm_door`."""

    @property
    def head(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers of each success."""
        ...

    @property
    def reads(self) -> Mapping[bytes, str]:
        """The headers that a request on the short way may have: what those are called that are read, else empty."""
        ...

    def begun(
        self,
        headers: Mapping[str, str],
        data: bytes,
        principal: str,
        peer: str | None,
        local: str | None,
        ends_in: float | None = None,
    ) -> Coroutine[Any, Any, bytes | WireReply] | None:
        """What answers a POST to `/` with those headers: the body of a success, else whole; None to be handled.

        `peer` and `local` are the addresses that it came from and to, `ends_in` seconds after which the caller ends it.
        """
        ...


class _Refused(Exception):
    """The request is not taken; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Gone(Exception):
    """The client left before its request was whole."""


def _plain(code: str) -> WireReply:
    return WireReply(status=_STATUSES[code])


async def _nothing() -> None:
    pass


def _nobody(_scope: Scope) -> None:
    pass


def _named(found: str | None) -> str:
    return HOST + found if found else ANONYMOUS


class AsgiApp:
    """`handler` behind ASGI."""

    def __init__(
        self,
        handler: WireHandler,
        *,
        body_bytes: int = 1_048_576,
        body_seconds: float = 20.0,
        refuse: Callable[[str], WireReply] = _plain,
        door_at: Callable[[str], Door] | None = None,
        principal_of: PrincipalOf = _nobody,
        warm: WarmDoors | None = None,
        on_startup: Callable[[], Awaitable[None]] = _nothing,
        on_shutdown: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """Hand whole requests to `handler`.

        Args:
            handler: Answers. It is left to finish where the client leaves meanwhile: an effect that was begun
                is not cut in two.
            body_bytes: Bytes that a body may have.
            body_seconds: Seconds from the first look at a body to its end.
            refuse: Makes the reply for `too_large` and `slow_request`; empty bodies where not given.
            door_at: The door that a path belongs to, whose limit and words stand in place of these two.
            principal_of: Whom the host's own middleware has found a request to be for, by what it put in the scope.
            warm: The short way past `handler`, for requests that may take it.
            on_startup: Awaited at the server's lifespan start, where the server has one.
            on_shutdown: Awaited at its end.
        """
        self._handler = handler
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds
        self._refuse = refuse
        self._door_at = door_at
        self._principal_of = principal_of
        self._warm = warm
        self._root = None if warm is None else warm.at("/")
        self._on_startup = on_startup
        self._on_shutdown = on_shutdown

    @property
    def warm(self) -> WarmDoors | None:
        """The short way past the handler, for a server that finds warm requests out for itself; None where there is
        none, or where the host has to say of each request whom it is for.
        """
        return self._warm if self._principal_of is _nobody else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application."""
        if scope["type"] == "http":
            few = None if self._warm is None else _few(scope, self._warm.reads)
            if few is None:
                await self._http(scope, receive, send)
            else:
                await self._short(scope, receive, send, few)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            # Closed before it is accepted, which servers turn into a 403.
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise RuntimeError(f"an ASGI scope of type {scope['type']!r} is not served here")

    async def _short(self, scope: Scope, receive: Receive, send: Send, few: Mapping[str, str]) -> None:
        """A POST to `/` of which only the headers `few` are to be read, on the short way where it may."""
        warm, door = self._warm, self._root
        assert warm is not None  # noqa: S101 - whose headers they are
        assert door is not None  # noqa: S101
        try:
            body = await by(self._body_seconds, _body(few.get("content-length", "0"), receive, door.body_bytes))
        except _Gone:
            return
        except (_Refused, OutOfTime) as refused:
            await self._turned_away(scope, send, door, refused)
            return
        client, server = scope.get("client"), scope.get("server")
        principal = _named(self._principal_of(scope))
        begun = warm.begun(few, body, principal, client[0] if client else None, server[0] if server else None)
        if begun is None:
            await self._handled(scope, receive, send, "/", _headers(scope["headers"]), body)
            return
        made = await begun
        if not isinstance(made, bytes):
            await respond(send, made, head=False, close=False)
            return
        try:
            headers = [*warm.head, (b"content-length", b"%d" % len(made))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": made})
        except OSError:
            return  # as in `respond`

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, headers = _path(scope), _headers(scope["headers"])
        door = None if self._door_at is None else self._door_at(path)
        limit = self._body_bytes if door is None else door.body_bytes
        try:
            body = await by(self._body_seconds, _body(headers.get("content-length", "0"), receive, limit))
        except _Gone:
            return
        except (_Refused, OutOfTime) as refused:
            await self._turned_away(scope, send, door, refused)
            return
        await self._handled(scope, receive, send, path, headers, body)

    async def _turned_away(self, scope: Scope, send: Send, door: Door | None, refused: Exception) -> None:
        code = refused.code if isinstance(refused, _Refused) else "slow_request"
        reply = (self._refuse if door is None else door.refuse)(code)
        # What is left of the body must not be read as the next request. HTTP/2 resets the stream instead.
        close = scope.get("http_version", "1.1").startswith("1")
        await respond(send, reply, head=scope["method"].upper() == "HEAD", close=close)

    async def _handled(
        self, scope: Scope, receive: Receive, send: Send, path: str, headers: dict[str, str], body: bytes
    ) -> None:
        client, server, method = scope.get("client"), scope.get("server"), scope["method"].upper()
        reply = await self._handler(
            WireRequest(
                method=method,
                path=path,
                headers=headers,
                body=body,
                peer=client[0] if client else None,
                local=server[0] if server else None,
                target=_target(scope),
                base=_base(scope.get("scheme", "http"), headers.get("host", ""), scope.get("root_path", "")),
                principal=_named(self._principal_of(scope)),
            )
        )
        if reply.chunks is not None:
            await stream(send, receive, reply, reply.chunks)
            return
        await respond(send, reply, head=method == "HEAD", close=False)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        for phase, hook in (("startup", self._on_startup), ("shutdown", self._on_shutdown)):
            while (await receive())["type"] != f"lifespan.{phase}":
                pass
            try:
                await hook()
            except Exception as error:
                await send({"type": f"lifespan.{phase}.failed", "message": type(error).__name__})
                raise
            await send({"type": f"lifespan.{phase}.complete"})


def asgi_app(
    handler: WireHandler,
    *,
    principal_of: PrincipalOf = _nobody,
    on_startup: Callable[[], Awaitable[None]] = _nothing,
    on_shutdown: Callable[[], Awaitable[None]] = _nothing,
) -> AsgiApp:
    """`handler` as an ASGI application; a `Door`, such as an `AgoraDoor`, with its own limit and words, and each of
    several doors with its own. For the rest see `AsgiApp`.
    """
    make = partial(AsgiApp, handler, principal_of=principal_of, on_startup=on_startup, on_shutdown=on_shutdown)
    if isinstance(handler, WarmDoors):
        return make(door_at=handler.at, warm=handler)
    if isinstance(handler, SeveralDoors):
        return make(door_at=handler.at)
    if isinstance(handler, Door):
        return make(body_bytes=handler.body_bytes, refuse=handler.refuse)
    return make()


async def _body(announced: str, receive: Receive, limit: int) -> bytes:
    """A whole body. Raises `_Refused` where it is, or is announced to be, over `limit` bytes, and `_Gone`."""
    if not announced.isdecimal() or int(announced[:20]) > limit:
        raise _Refused("too_large")
    parts: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _Gone
        body: bytes = event.get("body", b"")
        size += len(body)
        if size > limit:
            raise _Refused("too_large")
        if not event.get("more_body", False):
            return b"".join([*parts, body]) if parts else body
        parts.append(body)


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case names; repeated ones joined, as RFC 9110 5.3 has it, which spoils those that may not repeat."""
    headers: dict[str, str] = {}
    for name, value in raw:
        # Blanks around a value are none of it (RFC 9110, 5.5); not every HTTP server takes them away.
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _few(scope: Scope, reads: Mapping[bytes, str]) -> dict[str, str] | None:
    """The headers that are read on the short way, of a POST to `/`; None of any other request, and as `few_of` has it."""
    if scope["path"] != "/" or scope["method"] != "POST" or scope.get("query_string") or scope.get("root_path"):
        return None
    return few_of(scope["headers"], reads)


def few_of(headers: Iterable[tuple[bytes, bytes]], reads: Mapping[bytes, str]) -> dict[str, str] | None:
    """Those headers that are read on the short way; None where one of them is repeated, or `reads` does not know one."""
    few: dict[str, str] = {}
    for name, value in headers:
        read = reads.get(name)
        if read:
            if read in few:
                return None
            few[read] = value.decode("latin-1").strip(" \t")
        elif read is None:
            return None
    return few


def _path(scope: Scope) -> str:
    """The path below where the application is mounted, with the query."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    # Some servers give the whole path under a mount, some only the rest of it.
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    query = scope.get("query_string", b"").decode("latin-1")
    return (path or "/") + (f"?{query}" if query else "")


@lru_cache(64)
def _base(scheme: str, host: str, root: str) -> str | None:
    """Where the application is mounted, by the name that the client used for it."""
    return f"{scheme}://{host}{quote(root.rstrip('/'))}" if _HOST.fullmatch(host) else None


def _target(scope: Scope) -> str | None:
    """The same as it came, where the server says and where that is another text."""
    raw = scope.get("raw_path")
    if not raw:
        return None
    came = raw.decode("latin-1").partition("?")[0]
    if came == scope["path"]:
        return None
    return _path({**scope, "path": came, "root_path": quote(scope.get("root_path", "").rstrip("/"))})
