"""What the scripted models of the frameworks say. No language model: a few rules over what is said to them.

Runs in the framework's environment.
"""

import json
import re


class Brain:
    """Counts its calls. Asked for the weather, it calls a tool, and puts the tool's result into words."""

    def __init__(self):
        self.calls = 0
        self.heard = []

    def say(self, system, user, results, tools):
        """Either ("call", name, arguments) or ("text", words).

        `results` are those of tools since the user spoke; `tools` the names that may be called.
        """
        self.calls += 1
        self.heard.append(user)
        if "JSON Schema" in system:
            high = re.search(r"-?\d+\.\d+", user)
            return "text", json.dumps({"answer": {"high": float(high[0]), "summary": "sunny"}} if high else {})
        wanted = next((name for name in tools if name in ("forecast", "weather")), None)
        if results:
            return "text", f"The forecast: {results[-1]}"
        if wanted is None or "weather" not in user.lower():
            return "text", f"You said: {user}"
        city = re.search(r"\b(Rome|Oslo|Bern)\b", user)
        day = re.search(r"\d{4}-\d\d-\d\d", user)
        return "call", wanted, {"city": city[0], "day": day[0]}
