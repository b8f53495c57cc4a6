"""The package's own sender and its own parser, at the orders of a test: one JSON object a line in, one out.

{"do": "ask", "target", "cities": [...], "thresholds": {...}, "know": bool, "routine": bool, "takes": "own"/"offered"}
    -> {"results": [{"value"} or {"error"}], "calls": {category: turns}, "heard": [...], "known": [hashes]}; each
       order a new sender
{"do": "parse", "text", "uri"}
    -> {"metadata", "hash", "source", "own_uri": bool, "our_uri": bool}
"""

import json
import sys
import tempfile
from pathlib import Path

import agora
from agora.utils import compute_hash, download_and_verify_protocol, encode_as_data_uri, extract_metadata
from scripted import DOCUMENT, SENDER_CODE, ScriptedPartners


def ask(order):
    partners = ScriptedPartners("sender", order.get("takes", "own"))
    with tempfile.TemporaryDirectory() as folder:
        sender = agora.Sender.make_default(
            partners, storage_path=str(Path(folder) / "sender.json"), **order.get("thresholds", {})
        )
        name = compute_hash(DOCUMENT)
        if order.get("know"):
            metadata = {"name": "City temperature", "description": "x", "multiround": False}
            sender.memory.register_new_protocol(name, DOCUMENT, [], metadata)
            sender.memory.set_default_suitability(name, "temperature", agora.Suitability.ADEQUATE)
        if order.get("routine"):
            sender.memory.register_implementation(name, SENDER_CODE.replace("def send_query(", "def run("))

        @sender.task(
            "temperature",
            description="Tell the temperature of a city.",
            input_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            output_schema={"type": "integer"},
        )
        def temperature(city: str) -> int:
            """Tell the temperature of a city.

            Args:
                city: The city.

            Returns:
                The temperature.
            """

        results = []
        for city in order["cities"]:
            try:
                results.append({"value": temperature(city, target=order["target"])})
            except Exception as error:  # noqa: BLE001 - what came of it is the result
                results.append({"error": f"{type(error).__name__}: {error}"})
        known = sender.memory.protocol_ids()
    return {"results": results, "calls": partners.calls, "heard": partners.heard, "known": known}


def parse(order):
    text = order["text"]
    name = compute_hash(text)
    return {
        "metadata": extract_metadata(text),
        "hash": name,
        "source": encode_as_data_uri(text),
        "own_uri": download_and_verify_protocol(name, encode_as_data_uri(text)) == text,
        "our_uri": download_and_verify_protocol(name, order["uri"]) == text,
    }


# The package prints as it goes.
channel, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    given = json.loads(line)
    channel.write(json.dumps(ask(given) if given["do"] == "ask" else parse(given)) + "\n")
    channel.flush()
