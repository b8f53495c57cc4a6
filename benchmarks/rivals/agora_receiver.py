"""agora-protocol 0.2.0 as a receiver: `agora_receiver.py waitress|flask DOCUMENTS`. It runs in that package's environment.

One line of JSON comes in, {"document", "handler"}: a document's text, and the routine that a model would have written
for it. Another goes out, {"port", "hash", "source"}, both as the package spells them; the process ends with its standard
input. Beside the document it knows others, DOCUMENTS in all.
"""

import json
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path

import agora
from agora.common.toolformers.base import Toolformer
from agora.utils import compute_hash, encode_as_data_uri

# The package prints what its routines answer.
channel, sys.stdout = sys.stdout, Path(os.devnull).open("w")
logging.getLogger("werkzeug").setLevel(logging.ERROR)


class NoModel(Toolformer):
    """No model is asked where there is a routine."""

    def new_conversation(self, prompt, tools, category=None):
        raise AssertionError("a model was asked")


def forecast(city: str, day: str, notes: str) -> dict:
    """Tell the weather that is expected in a city on a day.

    Args:
        city: The city.
        day: The day, as YYYY-MM-DD.
        notes: What is told beside.

    Returns:
        The temperature in Celsius, and a summary.
    """
    return {"celsius": float(len(city)), "summary": "clear on " + day}


def receiver(folder, told, documents):
    """A receiver that has a routine for each of its documents."""
    made = agora.Receiver.make_default(NoModel(), tools=[forecast], storage_path=str(Path(folder) / "receiver.json"))
    name = compute_hash(told["document"])
    about = {"name": "Town forecast", "description": "The weather that is expected.", "multiround": False}
    made.memory.register_new_protocol(name, [encode_as_data_uri(told["document"])], told["document"], about)
    made.memory.set_suitability(name, agora.Suitability.ADEQUATE)
    made.memory.register_implementation(name, told["handler"])
    for number in range(documents - 1):
        text = f"{told['document']}\nVariant {number}."
        made.memory.storage.data["protocols"][compute_hash(text)] = {
            "document": text,
            "sources": [encode_as_data_uri(text)],
            "metadata": about,
            "implementation": told["handler"],
            "suitability": "adequate",
            "conversations": 7,
        }
    made.memory.storage.save_memory()
    return made, name


def main():
    server, documents = sys.argv[1], int(sys.argv[2])
    told = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory() as folder:
        made, name = receiver(folder, told, documents)
        app = agora.ReceiverServer(made).app
        if server == "waitress":
            import waitress

            serving = waitress.create_server(app, host="127.0.0.1", port=0, threads=8)
            port, serve = serving.effective_port, serving.run
        else:
            from werkzeug.serving import make_server

            serving = make_server("127.0.0.1", 0, app, threaded=True)
            port, serve = serving.server_port, serving.serve_forever
        threading.Thread(target=serve, daemon=True).start()
        source = encode_as_data_uri(told["document"])
        print(json.dumps({"port": port, "hash": name, "source": source}), file=channel, flush=True)
        sys.stdin.read()
    # Its timers of 300 seconds would keep the process.
    os._exit(0)


main()
