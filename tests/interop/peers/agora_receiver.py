"""The package's own receiver behind its own server: `agora_receiver.py [PORT [FOLDER]]`.

Prints its port, and that of another receiver that speaks to a chat model by LangChain; then answers each line of its standard input with the turns of its model so far, by category.
Ends when its standard input does. What it learns it keeps in FOLDER.
"""

import json
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path

import agora
from agora.common.toolformers.langchain import LangChainToolformer
from chat import ScriptedChat
from scripted import ScriptedPartners, temperature_db
from werkzeug.serving import make_server

# The package prints what its routines answer.
channel, sys.stdout = sys.stdout, sys.stderr
logging.getLogger("werkzeug").setLevel(logging.ERROR)
port = int(sys.argv[1]) if len(sys.argv) > 1 else 0


def served(toolformer, storage, port):
    """A receiver behind the package's own server; its port."""
    receiver = agora.Receiver.make_default(toolformer, tools=[temperature_db], storage_path=str(storage))
    server = make_server("127.0.0.1", port, agora.ReceiverServer(receiver).app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


with tempfile.TemporaryDirectory() as own:
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else own)
    partners = ScriptedPartners("receiver")
    ports = {
        "port": served(partners, folder / "receiver.json", port),
        "langchain": served(LangChainToolformer(ScriptedChat()), folder / "langchain.json", 0),
    }
    print(json.dumps(ports), file=channel, flush=True)
    for _ in sys.stdin:
        print(json.dumps(partners.calls), file=channel, flush=True)
# Its timers of 300 seconds would keep the process.
os._exit(0)
