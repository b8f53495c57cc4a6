"""A transport by its name."""

from negotiator.errors import MissingExtra, UsageError
from negotiator.wire import Transport


def open_transport(given: Transport | str | None) -> Transport:
    """A transport as it is; HTTP by the client of that name: `httpx`, which is the default, or `aiohttp`.

    Raises `UsageError` for another name, and `MissingExtra`.
    """
    if given is None or given == "httpx":
        from negotiator.transports.http_client import HTTPTransport  # noqa: PLC0415 - httpx is imported on use

        return HTTPTransport()
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
