"""Plays the language model of agora-protocol 0.2.0, so that its own code runs and its answers repeat.

Runs in the peer's environment, where nothing of this project is installed.
"""

import json
import re

from agora.common.core import Conversation
from agora.common.toolformers.base import Toolformer

DOCUMENT = """---
name: City temperature
description: Ask for the current temperature of a city.
multiround: false
---

The sender sends a JSON object {"city": string}.
The receiver answers with a JSON object {"temperature": integer} in degrees Celsius."""

RECEIVER_CODE = """import json
def reply(query):
    asked = json.loads(query)
    return json.dumps({'temperature': temperature_db(asked['city'])})
"""

SENDER_CODE = """import json
def send_query(task_data):
    answer = send_to_server(json.dumps({'city': task_data['city']}))
    return json.loads(answer)['temperature']
"""


def temperature_db(city: str) -> int:
    """Look up the temperature of a city.

    Args:
        city: The city.

    Returns:
        The temperature in degrees Celsius.
    """
    if city == "Nowhere":
        raise ValueError("there is no such city")
    return 10 + len(city)


def negotiate(opening, turn):
    """What a receiver's model says in this turn of a negotiation that began so."""
    if "Quibble" in opening:
        return "I would need to know the country too." if turn == 1 else "REJECT: no country, no answer."
    if "Ponder" in opening:
        return "Let me see: one city at a time?" if turn == 1 else "ACCEPT, then."
    return "ACCEPT" if turn == 1 else f"Still fine with me, in turn {turn}."


class ScriptedPartner(Conversation):
    """One conversation with the model that is not there: it answers by the category that the package asks for."""

    def __init__(self, owner, role, prompt, tools, category):
        self.owner, self.role, self.prompt, self.category = owner, role, prompt, category
        self.turn = 0
        self.first = None
        self.tools = {getattr(tool, "name", getattr(tool, "__name__", "")): tool for tool in tools}

    def __call__(self, message, print_output=True):
        self.turn += 1
        self.owner.calls[self.category] = self.owner.calls.get(self.category, 0) + 1
        return getattr(self, f"_{self.role}_{self.category}")(message)

    def _receiver_conversation(self, message):
        if "The protocol is the following" in self.prompt:
            return json.dumps({"temperature": temperature_db(json.loads(message)["city"])})
        if "what was my first question" in message.lower():
            return f"This is turn {self.turn}."
        city = re.search(r"- city: (\w+)", message) or re.search(r"in (\w+)", message)
        return f"It is {temperature_db(city[1] if city else 'Rome')} degrees."

    def _receiver_negotiation(self, message):
        self.first = self.first or message
        return negotiate(self.first, self.turn)

    def _receiver_protocolChecking(self, message):  # noqa: N802 - the package's category
        return "NO" if "Teleport" in message else "It fits. YES"

    def _receiver_programming(self, message):
        return f"<IMPLEMENTATION>\n{RECEIVER_CODE}\n</IMPLEMENTATION>"

    def _sender_negotiation(self, message):
        self.owner.heard.append(message)
        if self.turn == 1:
            return "I propose: a JSON object with the city, a JSON object with the temperature."
        if self.owner.takes == "offered":
            if "# ---" not in message:
                return "Then what do you offer for the temperature of a city?"
            return f"<FINALPROTOCOL>\n{message[message.index('# ---') :]}\n</FINALPROTOCOL>"
        return f"<FINALPROTOCOL>\n{DOCUMENT}\n</FINALPROTOCOL>"

    def _sender_protocolChecking(self, message):  # noqa: N802 - the package's category
        return "NO"

    def _sender_programming(self, message):
        return f"<IMPLEMENTATION>\n{SENDER_CODE}\n</IMPLEMENTATION>"

    def _sender_conversation(self, message):
        data = json.loads(message.split("JSON data of the task:")[1])
        query = f"How warm is it in {data['city']}?"
        if "Protocol document:" in message:
            query = json.dumps({"city": data["city"]})
        answer = str(self.tools["send_query"].func(query=query))
        self.owner.heard.append(answer)
        if data["city"] == "Chatty":
            answer = str(self.tools["send_query"].func(query="And in Rome?"))
            self.owner.heard.append(answer)
        number = re.search(r"-?\d+", answer)
        if answer.startswith("Error calling the tool") or number is None:
            self.tools["register_error"].func(error=answer)
        else:
            self.tools["deliverStructuredOutput"].func(output=int(number[0]))
        return "done"


class ScriptedPartners(Toolformer):
    """Makes conversations, counts their turns by category, keeps what the other agent said.

    `takes` is the document that a sender's negotiation ends with: its `own`, or the one that it was `offered`.
    """

    def __init__(self, role, takes="own"):
        self.role, self.takes, self.calls, self.heard = role, takes, {}, []

    def new_conversation(self, prompt, tools, category=None):
        return ScriptedPartner(self, self.role, prompt, tools, category)
