"""An agent behind uvicorn: on a socket of ours, drained at the end, with the address said when it is ready."""

import asyncio
import contextlib
import importlib
import importlib.util
import signal
import socket
from collections.abc import Callable, Collection, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from negotiator.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from negotiator.agent import Agent
    from negotiator.transports.asgi import WarmDoors

_DRAIN_SECONDS: Final = 30
"""How long requests that were accepted may take to end."""
_BACKLOG: Final = 2048
"""Connections that may wait to be accepted: one that comes when there is no room waits for a second, and then three."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def require_uvicorn() -> None:
    """Raise `MissingExtra` where uvicorn is not installed."""
    if importlib.util.find_spec("uvicorn") is None:
        raise MissingExtra('serving needs uvicorn; install it with: pip install "metaparley[serve]"')


def listen(host: str, port: int) -> socket.socket:
    """A listening socket at `host`; port 0 takes a free one. Raises `UsageError`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(f"cannot listen at {host} port {port}: {error.strerror or error}") from error
    except OverflowError as error:
        raise UsageError(f"there is no port {port}") from error


def address_of(listening: socket.socket) -> str:
    """The URL that a listening socket is reached at from this machine, its real port included."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - told apart, not listened at
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a server to its end, in uvloop where it is installed."""
    found = importlib.util.find_spec("uvloop") is not None
    new_loop = importlib.import_module("uvloop").new_event_loop if found else None
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work)


async def serve_agent(
    agent: "Agent",
    listening: socket.socket,
    *,
    ready: Callable[[], None],
    until: asyncio.Event | None = None,
) -> None:
    """`serve_app` for an agent, which is closed at the end; what is warm is answered below it. Raises `MissingExtra`."""
    app = agent.asgi()
    try:
        await serve_app(app, listening, ready=ready, until=until, warm=app.warm)
    finally:
        await agent.aclose()


async def serve_app(
    app: Callable[..., Any],
    listening: socket.socket,
    *,
    ready: Callable[[], None],
    until: asyncio.Event | None = None,
    warm: "WarmDoors | None" = None,
    shed: Collection[bytes] = (b"POST",),
) -> None:
    """Serve an ASGI application until SIGTERM, SIGINT or `until`; then end what was accepted.

    Requests that `warm` takes do not come to the application, nor do those of the methods `shed` that come faster than
    they can be begun. A second signal does not wait. Raises `MissingExtra`.
    """
    require_uvicorn()
    import uvicorn  # noqa: PLC0415 - an extra, loaded on use

    class Server(uvicorn.Server):
        """Uvicorn's, told to end by us: its own signal handling would end the process before the rest is closed."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    protocol: Any = "auto"
    if importlib.util.find_spec("httptools") is not None:
        from negotiator.cli.shedding import shedding  # noqa: PLC0415 - an extra, loaded on use
        from negotiator.cli.straight_through import StraightThrough  # noqa: PLC0415

        below = partial(shedding, app, methods=shed)
        app, protocol = below() if warm is None else below(protocol=StraightThrough, warm=warm)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = Server(config)

    def end(*_: Any) -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    waiter = None if until is None else asyncio.ensure_future(_end_with(until, end))
    try:
        await server.serve([listening])
    finally:
        if waiter is not None:
            waiter.cancel()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _end_with(until: asyncio.Event, end: Callable[[], None]) -> None:
    await until.wait()
    end()
