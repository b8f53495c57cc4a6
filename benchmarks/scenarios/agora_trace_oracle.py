"""The scripted model of `agora-trace`: it knows both vocabularies, and nothing of a request but its prompt.

It stands in for a model that always understands: it reads the prompt that was really sent, finds the fields in it and
answers what is right. What a policy costs then depends on the policy alone, and what goes wrong is its own doing. It
says nothing about how well a language model would have done.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.scenarios.agora_trace_world import KINDS, OFFERS, Kind, Offer, Values
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Message
from negotiator.models.scripted import ScriptedModel

_LINE: Final = re.compile(r"^- (\w+)(?: \([^\n]*?\))?: (.*)$", re.MULTILINE)
_BY_TOOL: Final = {offer.tool: offer for offer in OFFERS}
_BY_DESCRIPTION: Final = {offer.description: offer for offer in OFFERS}
_KIND_BY_DESCRIPTION: Final = {kind.description: kind for kind in KINDS.values()}


class NotUnderstood(Exception):
    """The prompt is about nothing in this town: a defect of the benchmark."""


def oracle() -> ScriptedModel:
    """A model for any agent of the town."""
    return ScriptedModel(
        {
            "choose_tool": _choose_tool,
            "read_request": _read_request,
            "read_reply": _read_reply,
            "pair_fields": _pair,
            "choose_fields": _pair,
            "write_fields": _write_fields,
            **dict.fromkeys(("encode_request", "decode_request", "encode_reply", "decode_reply"), _fill),
        }
    )


def _choose_tool(messages: Sequence[Message], _schema: JsonObject | None) -> JsonObject:
    text = messages[1].content
    listed, _, request = text.partition("\nThe request:")
    kind = _kind_in(request)
    for name in re.findall(r"^- (\w+):", listed, re.MULTILINE):
        if kind is not None and name in _BY_TOOL and _BY_TOOL[name].kind == kind.name:
            return {"tool": name}
    return {"tool": "none"}


def _read_request(messages: Sequence[Message], _schema: JsonObject | None) -> JsonObject:
    text = messages[1].content
    named = re.search(r"^The tool:\n(\w+):", text, re.MULTILINE)
    if named is None or named[1] not in _BY_TOOL:
        raise NotUnderstood(text[:200])
    offer = _BY_TOOL[named[1]]
    given = text.partition("\nThe request:")[2].partition("Please answer with")[0]
    kind = KINDS[offer.kind]
    values = {name: _typed(value, kind.takes[name]) for name, value in _LINE.findall(given) if name in kind.takes}
    if kind.takes.keys() - values.keys():
        return {"no_answer": ", ".join(sorted(kind.takes.keys() - values.keys()))}
    return {"answer": offer.here(values)}


def _read_reply(messages: Sequence[Message], _schema: JsonObject | None) -> JsonObject:
    text = messages[1].content
    reply = text.partition("\nThe reply:")[2].partition("\nFields of the answer")[0]
    found = re.search(r"Result of: (.+)", reply)
    offer = None if found is None else _BY_DESCRIPTION.get(found[1].strip())
    if offer is None:
        return {"no_answer": "the reply reports no result"}
    kind = KINDS[offer.kind]
    back = {mine: name for name, (mine, _) in offer.named.items() if name in kind.gives}
    values: Values = {
        back[name]: _typed(value, kind.gives[back[name]]) for name, value in _LINE.findall(reply) if name in back
    }
    return {"answer": values}


def _pair(messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
    """For each field that the answer's schema names, its counterpart among the values that are allowed."""
    options: dict[str, list[str]] = {name: part["enum"] for name, part in (schema or {}).get("properties", {}).items()}
    offer = _offer_of(options, messages[1].content)
    return {name: _counterpart(offer, name, allowed) for name, allowed in options.items()}


def _fill(messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
    """The fields that the answer's schema names, from the data that the prompt shows."""
    text = messages[1].content
    shown = re.search(r"<<<begin [^\n]*\n(.*?)\n<<<end", text.partition("\nSource data:\n")[2], re.DOTALL)
    if shown is None:
        raise NotUnderstood(text[:200])
    source = json.loads(shown[1])
    wanted = (schema or {})["anyOf"][0]["properties"]["answer"]["properties"]
    offer = _offer_of({name: list(source) for name in wanted}, text)
    pairs = {name: _counterpart(offer, name, [*source, "none"]) for name in wanted}
    return {"answer": {name: source[given] for name, given in pairs.items() if given != "none"}}


def _write_fields(messages: Sequence[Message], _schema: JsonObject | None) -> str:
    """The function that the prompt asks for: it copies each field from its counterpart."""
    text = messages[1].content
    named = re.search(r"^def (\w+)\(", text, re.MULTILINE)
    given, _, rest = text.partition("\nSource fields:\n")[2].partition("\nTarget fields to return:\n")
    fields = re.findall(r"^- (\w+) \(", given, re.MULTILINE)
    wanted = re.findall(r"^- (\w+) \(", rest.partition("\n\n")[0], re.MULTILINE)
    if named is None or not wanted:
        raise NotUnderstood(text[:200])
    offer = _offer_of(dict.fromkeys(wanted, fields), text)
    lines = ["made = {}"]
    for name in wanted:
        source = _counterpart(offer, name, [*fields, "none"])
        if source != "none":
            lines += [f'if "{source}" in source:', f'    made["{name}"] = source["{source}"]']
    body = "\n".join(f"    {line}" for line in [*lines, "return made"])
    return f"```python\ndef {named[1]}(source: dict) -> dict:\n{body}\n```"


def _offer_of(options: dict[str, list[str]], text: str) -> Offer:
    labels = {_last(name) for name in options} | {_last(one) for each in options.values() for one in each} - {"none"}
    fitting = [
        offer
        for offer in OFFERS
        if labels <= set(offer.named) | {mine for mine, _ in offer.named.values()}
        and (offer.description in text or KINDS[offer.kind].description in text)
    ]
    told = [offer for offer in fitting if offer.description in text] or fitting
    if not told:
        raise NotUnderstood(f"{sorted(labels)} in {text[:200]}")
    return max(told, key=lambda offer: len(labels & {mine for mine, _ in offer.named.values()}))


def _counterpart(offer: Offer, label: str, allowed: Sequence[str]) -> str:
    back = {mine: name for name, (mine, _) in offer.named.items()}
    name = _last(label)
    meant = [offer.named[name][0]] if name in offer.named else []
    meant += [back[name]] if name in back else []
    for one in allowed:
        if _last(one) in meant:
            return one
    return "none" if "none" in allowed else allowed[0]


def _last(label: str) -> str:
    return re.split(r"[./ ]", label)[-1]


def _kind_in(text: str) -> Kind | None:
    return next((kind for described, kind in _KIND_BY_DESCRIPTION.items() if described in text), None)


def _typed(text: str, form: JsonObject) -> Any:
    if form.get("type") == "string" or (form.get("enum") and isinstance(form["enum"][0], str)):
        return text
    return json.loads(text)
