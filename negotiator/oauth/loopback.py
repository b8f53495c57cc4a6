"""A person at this machine says yes in their browser, which is sent back to a port that listens for that alone
(RFC 8252 7.3).
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit

from negotiator.errors import UsageError

_MAX_LINE: Final = 16_384
_READ_SECONDS: Final = 10.0
_PAGE: Final = (
    b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n"
    b"cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\n\r\n%s"
)


def show(url: str) -> None:
    """Tell the person at the terminal where to go, and open it where there is a browser."""
    import webbrowser  # noqa: PLC0415 - loaded on use

    sys.stderr.write(f"An authorization is needed. Open this address:\n{url}\n")
    webbrowser.open(url)


class LoopbackReceiver:
    """An `Authorize` for programs at a person's own machine."""

    def __init__(self, *, port: int = 0, show: Callable[[str], object] = show) -> None:
        """Listen on 127.0.0.1 once an answer is expected.

        Args:
            port: 0 for any; a client that is registered by hand may have to name one.
            show: Called, in a thread, with the address that the person is to open.
        """
        self._port = port
        self._show = show

    @property
    def redirect_uri(self) -> str:
        """Where the browser is sent back to. The port is chosen at the first look, and stays."""
        if not self._port:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self._port = listener.getsockname()[1]
        return f"http://127.0.0.1:{self._port}/callback"

    async def __call__(self, url: str) -> str:
        """Have the person open `url`; gives the address that their browser comes back to.

        What else comes to the port, such as a page that guesses it, is not taken for the answer. Raises `UsageError`
        where the port is in use.
        """
        redirect = self.redirect_uri
        states = parse_qs(urlsplit(url).query).get("state", [])
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    target = await _target(reader)
                    ours = (
                        urlsplit(target).path == "/callback" and parse_qs(urlsplit(target).query).get("state") == states
                    )
                    text = b"Thank you. You can close this page." if ours else b"There is nothing here."
                    writer.write(_PAGE % (b"200 OK" if ours else b"404 Not Found", len(text), text))
                    await writer.drain()
                if ours and not answer.done():
                    answer.set_result(redirect.removesuffix("/callback") + target)
            except (OSError, TimeoutError, ValueError):
                pass
            finally:
                writer.close()

        try:
            server = await asyncio.start_server(heard, "127.0.0.1", self._port, limit=_MAX_LINE)
        except OSError as problem:
            raise UsageError(f"port {self._port} of this machine cannot be listened on: {problem.strerror}") from None
        async with server:
            await asyncio.to_thread(self._show, url)
            return await answer


async def _target(reader: asyncio.StreamReader) -> str:
    """The target of a GET request. Raises ValueError for anything else."""
    method, _, rest = (await reader.readline()).decode("latin-1").partition(" ")
    target, _, version = rest.partition(" ")
    if method != "GET" or not target.startswith("/") or not version.startswith("HTTP/1."):
        raise ValueError("not a request of a browser")
    while (await reader.readline()).strip():
        pass
    return target
