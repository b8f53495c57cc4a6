"""Whether a host is this machine, by its name alone: what is sent there nobody on the way reads. Pure."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host`, without a port or brackets, is a loopback address or a name of the machine itself (RFC 6761)."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
