"""How bytes travel: in memory, as an HTTP client, behind an ASGI server.

`http_client` is not imported here, since it loads httpx.
"""

from negotiator.transports.asgi import AsgiApp, Door, asgi_app
from negotiator.transports.memory import Fault, MemoryTransport

__all__ = ["AsgiApp", "Door", "Fault", "MemoryTransport", "asgi_app"]
