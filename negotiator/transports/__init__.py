"""How bytes travel: in memory, from agent to agent of one process, as an HTTP client, behind an ASGI server.

`http_client` is not imported here, since it loads httpx.
"""

from negotiator.transports.asgi import AsgiApp, asgi_app
from negotiator.transports.in_process import InProcessTransport
from negotiator.transports.memory import Fault, MemoryTransport
from negotiator.wire import Door

__all__ = ["AsgiApp", "Door", "Fault", "InProcessTransport", "MemoryTransport", "asgi_app"]
