"""A transport by its name."""

from typing import Final

from negotiator.clock import Deadline
from negotiator.errors import MissingExtra, UsageError
from negotiator.late import Late
from negotiator.wire import StreamTransport, Transport, WireReply, WireRequest


class LateTransport:
    """A `StreamTransport` that is made when something is first sent."""

    sets_timers: Final = True
    """See `negotiator.wire.InTime`."""

    def __init__(self, transport: Late[StreamTransport]) -> None:
        """Be what `transport` gives."""
        self._transport = transport

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `Transport.send`."""
        return await self._transport().send(base_url, request, deadline=deadline)

    async def open(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `StreamTransport.open`."""
        return await self._transport().open(base_url, request, deadline=deadline)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        if (transport := self._transport.made) is not None:
            await transport.aclose()


def open_transport(given: Transport | str | None) -> Transport:
    """A transport as it is; HTTP by the client of that name: `httpx`, which is the default, or `aiohttp`.

    Raises `UsageError` for another name, and `MissingExtra`.
    """
    if given is None or given == "httpx":
        return LateTransport(Late(_httpx))
    if given == "aiohttp":
        try:
            from negotiator.transports.aiohttp_client import AiohttpTransport  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            if error.name != "aiohttp":
                raise
            raise MissingExtra('aiohttp is the extra fast: pip install "metaparley[fast]"') from None
        return AiohttpTransport()
    if isinstance(given, str):
        raise UsageError(f"there is no transport named {given!r}; there are httpx and aiohttp")
    return given


def _httpx() -> StreamTransport:
    from negotiator.transports.http_client import HTTPTransport  # noqa: PLC0415 - imported on use

    return HTTPTransport()
