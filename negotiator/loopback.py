"""Whether a host is this machine, by its name alone: what is sent there nobody on the way reads. Pure."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host`, without a port or brackets, is a loopback address or a name of the machine itself (RFC 6761)."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    # Sockets of both families write the older one's addresses in the newer one's form; not all Pythons look inside.
    older = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (older or address).is_loopback
