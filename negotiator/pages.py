"""Which web pages may reach an agent, by what browsers say of them. Pure.

A page can send requests to any address that its reader's machine reaches, this machine's own among them; browsers keep
only the replies from it, and not even those where the page's own name is made to lead here (DNS rebinding). What a page
cannot do is to choose the headers `Origin`, `Sec-Fetch-Site` and `Host` (Fetch, "forbidden request-header"): the first
stands on all that a page sends but plain GETs of its own name, and those name it in the third. Programs that are no
pages send no origin, and may.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from negotiator.errors import UsageError
from negotiator.loopback import is_loopback
from negotiator.wire import origin_of

_READS: Final = ("GET", "HEAD")
"""What a browser sends for a page without saying whose it is."""
_OWN: Final = ("same-origin", "none")
"""Of `Sec-Fetch-Site`: sent for a page of the agent's own address, or for nobody but the person at the browser."""


class Pages:
    """The pages that one agent hears, and the names that it is reached by."""

    def __init__(self, origins: Sequence[str] = (), hosts: Sequence[str] = (), known: Sequence[str] = ()) -> None:
        """Hear pages of this machine, and those of `origins`.

        Args:
            origins: Such as `https://app.example`.
            hosts: Names that the agent goes by, such as `agent.example`, beside those of this machine. Where there are
                any, it is reached by no other; where there are none, names matter on loopback addresses alone.
            known: Addresses that the agent is known to have.

        Raises:
            UsageError: one of them is no origin, or no host.
        """
        self._origins = {_origin(each) for each in origins}
        self._always = bool(hosts)
        self._hosts = {_host(each) for each in hosts} | {_name(each) for each in known}

    def refusal(self, method: str, headers: Mapping[str, str], local: str | None) -> str | None:
        """Why a request is not heard, for whoever sent it; None where it is.

        Args:
            method: Of HTTP.
            headers: Lower-case names.
            local: The address of this machine that it came to, where that is known.
        """
        origin = headers.get("origin")
        if origin is None:
            # Where it was taken out on the way, the other header says as much.
            site = headers.get("sec-fetch-site", "none").lower()
            if site not in _OWN and method not in _READS:
                return "a page of another origin may not call this agent"
        elif not self._may_call(origin):
            return "pages of this origin may not call this agent: it does not name them in allowed_origins"
        host = headers.get("host")
        if host is not None and not self._is_ours(host, local):
            return "this agent does not go by the name in Host: it does not name it in allowed_hosts"
        return None

    def _may_call(self, origin: str) -> bool:
        said = origin_of(origin).lower()
        return said in self._origins or (said.startswith(("http://", "https://")) and is_loopback(_name(origin)))

    def _is_ours(self, host: str, local: str | None) -> bool:
        if not (self._always or (local is not None and is_loopback(local))):
            return True
        name = _name(f"//{host}")
        return name in self._hosts or is_loopback(name)


def _origin(said: str) -> str:
    origin = origin_of(said).lower()
    if not origin.partition("://")[2] or said.rstrip("/").lower().count("/") != 2:  # noqa: PLR2004 - scheme://host
        raise UsageError(f"{said!r} is no origin, such as https://app.example")
    return origin


def _host(said: str) -> str:
    name = _name(f"//{said}")
    if not name or any(each in said for each in "/@?#"):
        raise UsageError(f"{said!r} is no host, such as agent.example")
    return name


@lru_cache(256)
def _name(address: str) -> str:
    """The host of an address, without its port or brackets, in lower case; empty for what is none."""
    try:
        return (urlsplit(address).hostname or "").removesuffix(".")
    except ValueError:
        return ""
