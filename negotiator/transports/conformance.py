"""What every transport must do, as a check that anybody's can be run through."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn, TypeAlias

from negotiator.clock import Clock, Deadline
from negotiator.errors import PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.wire import Transport, WireHandler, WireReply, WireRequest

Serve: TypeAlias = Callable[[WireHandler], AbstractAsyncContextManager[str]]
"""Has a handler served for as long as the context is entered; gives the base address."""

_BODY: Final = '{"body": "ä 𝄞"}'.encode()


class NotConforming(AssertionError):
    """The transport does not do what every transport must; the message says which."""


async def check_transport(transport: Transport, serve: Serve, clock: Clock) -> None:
    """Run a transport, and the server side that `serve` starts, through what the engine relies on.

    Takes some tenths of a second, since one check waits for a deadline. The transport must refuse replies of 16 MiB
    and carry bodies of 256 KiB. Raises `NotConforming`; does not close the transport.
    """
    deadline = Deadline.after(60, clock)
    async with serve(_echo) as base_url:
        await _check_carries(transport, base_url, deadline)
        await _check_refuses_huge_replies(transport, base_url, deadline)
        gone = base_url
    await _expect(PeerUnreachable, transport, gone, WireRequest(), deadline, "nobody serves any more")
    await _check_silence(transport, serve, clock)


async def _check_carries(transport: Transport, base_url: str, deadline: Deadline) -> None:
    for address in (base_url, base_url.rstrip("/") + "/"):
        request = WireRequest(path="/", headers={"content-type": "application/json"}, body=_BODY)
        reply = await transport.send(address, request, deadline=deadline)
        _require(reply.status == 200, f"a reply's status is carried, {reply.status} came")  # noqa: PLR2004 - HTTP
        _require(reply.body == b"POST / " + _BODY, "method, path and body are carried to the base address")
        _require(reply.headers.get("x-type") == "application/json", "headers are carried, with names in lower case")
    request = WireRequest(method="DELETE", path="/conversations/a-1")
    reply = await transport.send(base_url, request, deadline=deadline)
    _require(reply.body == b"DELETE /conversations/a-1 ", "a method without a body and a path are carried")
    reply = await transport.send(base_url, WireRequest(method="GET", path="/status/404"), deadline=deadline)
    _require(reply.status == 404, "a status that is an error is a reply")  # noqa: PLR2004 - HTTP
    reply = await transport.send(base_url, WireRequest(method="GET", path="/status/307"), deadline=deadline)
    _require(reply.status == 307, "a redirect is a reply and is not followed")  # noqa: PLR2004 - HTTP
    large = b"x" * 262_144
    reply = await transport.send(base_url, WireRequest(path="/", body=large), deadline=deadline)
    _require(reply.body == b"POST / " + large, "a body of 256 KiB is carried whole")
    requests = [WireRequest(path="/", body=str(number).encode()) for number in range(20)]
    replies = await asyncio.gather(*(transport.send(base_url, sent, deadline=deadline) for sent in requests))
    expected = [b"POST / " + sent.body for sent in requests]
    _require([reply.body for reply in replies] == expected, "requests at once get each its own reply")


async def _check_refuses_huge_replies(transport: Transport, base_url: str, deadline: Deadline) -> None:
    huge = WireRequest(method="GET", path="/huge")
    await _expect(PeerMisspoke, transport, base_url, huge, deadline, "a reply of 16 MiB")
    reply = await transport.send(base_url, WireRequest(path="/", body=b"next"), deadline=deadline)
    _require(reply.body == b"POST / next", "the next request after a refused reply is answered")


async def _check_silence(transport: Transport, serve: Serve, clock: Clock) -> None:
    heard = asyncio.Event()

    async def silent(_: WireRequest) -> WireReply:
        heard.set()
        await asyncio.Event().wait()
        return WireReply()

    async with serve(silent) as base_url:
        past = Deadline.after(-1, clock)
        await _expect(PeerUnreachable, transport, base_url, WireRequest(), past, "no time was left to send")
        _require(not heard.is_set(), "nothing is sent after the deadline")
        soon = Deadline.after(0.3, clock)
        await _expect(PeerHungUp, transport, base_url, WireRequest(), soon, "the peer is silent")
        _require(heard.is_set(), "a silent peer was sent the request")


async def _echo(request: WireRequest) -> WireReply:
    if request.path == "/huge":
        return WireReply(body=bytes(16 * 1024 * 1024))
    if request.path.startswith("/status/"):
        return WireReply(status=int(request.path.removeprefix("/status/")), headers={"location": "/"})
    headers = {"x-type": request.headers.get("content-type", "")}
    return WireReply(headers=headers, body=f"{request.method} {request.path} ".encode() + request.body)


async def _expect(
    expected: type[Exception],
    transport: Transport,
    base_url: str,
    request: WireRequest,
    deadline: Deadline,
    when: str,
) -> None:
    try:
        await transport.send(base_url, request, deadline=deadline)
    except expected:
        return
    except Exception as error:
        raise NotConforming(f"{when}: {type(error).__name__} came, not {expected.__name__}") from error
    _fail(f"{when}: a reply came, not {expected.__name__}")


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - an assertion's condition
    if not holds:
        _fail(what)


def _fail(what: str) -> NoReturn:
    raise NotConforming(what)
