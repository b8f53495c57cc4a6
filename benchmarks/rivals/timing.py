"""How a rival's own client is timed: as many callers as there are to be at once, each with its next call when the
last is answered. Runs in the rival's environment; nothing but Python is needed.
"""

import asyncio
import json
import logging
import sys
import time


async def timed(call, seconds, at_once, lead_in, at_least):
    """Call for so many seconds, and until `at_least` calls are counted, which those are not that end in the `lead_in`
    seconds before, nor the first after it, from whose end on it counts. `call` raises where an answer is not the one
    that is due, and may give microseconds of its own to be noted in place of what it took.
    """
    times = []
    counted = time.perf_counter() + lead_in
    begun = None

    async def caller():
        nonlocal begun
        now = time.perf_counter()
        while now < counted + seconds or len(times) < at_least:
            own = await call()
            after = time.perf_counter()
            if begun is not None:
                times.append((after - now) * 1e6 if own is None else own)
            elif after >= counted:
                begun = after
            now = after

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return {"seconds": time.perf_counter() - begun, "microseconds": times}


async def obey(call):
    """Orders {"seconds", "at_once", "lead_in", "at_least"} a line in, what came of each out, until standard input ends."""
    loop = asyncio.get_running_loop()
    say({"ready": True})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        say(await timed(call, **json.loads(line)))


def say(value):
    """A line out."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def new_loop():
    """The faster loop, where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(work):
    """Run a client in that loop."""
    # A line for each request is work that nobody asked for.
    logging.disable(logging.CRITICAL)
    loop = new_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def serve(app):
    """Serve an ASGI application and say its port; ends with standard input."""
    import os
    import socket
    import threading

    import uvicorn

    logging.disable(logging.CRITICAL)
    listening = socket.create_server(("127.0.0.1", 0))
    say({"port": listening.getsockname()[1]})
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none")).run([listening])
