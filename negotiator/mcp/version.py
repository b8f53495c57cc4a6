"""What we say of ourselves."""

from functools import cache
from importlib import metadata


@cache
def own_version() -> str:
    """The version of this distribution, as it is installed."""
    try:
        return metadata.version("metaparley")
    except metadata.PackageNotFoundError:
        return "0"
