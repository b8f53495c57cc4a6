"""The package's own receiver behind its own server. Prints its port, and ends when its standard input does."""

import json
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path

import agora
from scripted import ScriptedPartners, temperature_db
from werkzeug.serving import make_server

# The package prints what its routines answer.
channel, sys.stdout = sys.stdout, sys.stderr
logging.getLogger("werkzeug").setLevel(logging.ERROR)
with tempfile.TemporaryDirectory() as folder:
    receiver = agora.Receiver.make_default(
        ScriptedPartners("receiver"), tools=[temperature_db], storage_path=str(Path(folder) / "receiver.json")
    )
    server = make_server("127.0.0.1", 0, agora.ReceiverServer(receiver).app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), file=channel, flush=True)
    sys.stdin.read()
# Its timers of 300 seconds would keep the process.
os._exit(0)
