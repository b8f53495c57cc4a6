"""Which network addresses a stranger may send us to. Pure: names are resolved elsewhere, once.

Everything is refused that is not known to be an address of the public internet, by the registries of special
addresses (IANA IPv4 and IPv6 Special-Purpose Address Registries, RFC 6890 and its successors). What is refused can
be allowed by class (`"loopback"`, `"private"`) or by network (`"10.1.0.0/16"`).
"""

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from protocol_docs.errors import SourceRefused

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


CLASSES: dict[str, tuple[IpNetwork, ...]] = {
    "loopback": _networks("127.0.0.0/8", "::1/128"),
    "private": _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}
"""The classes that can be allowed by name."""

# Cloud metadata in a private range: allowing private addresses does not mean this one.
_NEVER_BY_CLASS = _networks("fd00:ec2::254/128")
_SPECIAL_4 = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6 = _networks("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def parse_allowed(allow: Sequence[str]) -> tuple[str | IpNetwork, ...]:
    """Read what is allowed beyond public addresses.

    Raises:
        ValueError: for a word that is neither a class of `CLASSES` nor a network in CIDR notation.
    """
    return tuple(word if word in CLASSES else ipaddress.ip_network(word) for word in allow)


def check_address(text: str, allowed: Sequence[str | IpNetwork] = ()) -> IpAddress:
    """Return the address that `text` writes, where it may be connected to.

    An IPv4 address inside an IPv6 one (mapped, or behind NAT64) is judged as the IPv4 address that it reaches.

    Raises:
        SourceRefused: where it may not, or is no address.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise SourceRefused(f"{text[:80]!r} is no address") from None
    reached = address
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise SourceRefused(f"{text[:80]} has a zone")
        if address in _MAPPED or address in _NAT64:
            reached = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if not (_is_public(reached) or _is_allowed(reached, allowed)):
        raise SourceRefused(f"{address} is not a public address")
    return address


def check_host(host: str) -> None:
    """Refuse host names that are addresses in disguise, before anything resolves them.

    A name whose last label is a number (`2130706433`, `0177.0.0.1`, `0x7f.1`) is an IPv4 address to some resolvers
    and a name to others; only the plain spelling of an address passes.

    Raises:
        SourceRefused: for such a name, for an empty one, and for one with characters that no host has.
    """
    plain = host.removesuffix(".")
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        pass
    else:
        return
    last = plain.rpartition(".")[2].lower()
    number = last.isdecimal() or (last.startswith("0x") and all(char in "0123456789abcdef" for char in last[2:]))
    if not plain or number or not all(char.isalnum() or char in "-._" for char in plain) or not plain.isascii():
        raise SourceRefused(f"{host[:80]!r} is not a plain host name or address")


def _is_public(address: IpAddress) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_4)
    return address in _GLOBAL_6 and not any(address in network for network in _SPECIAL_6)


def _is_allowed(address: IpAddress, allowed: Sequence[str | IpNetwork]) -> bool:
    for entry in allowed:
        if isinstance(entry, str):
            never = any(address in network for network in _NEVER_BY_CLASS)
            if not never and any(address in network for network in CLASSES[entry]):
                return True
        elif address in entry:
            return True
    return False
