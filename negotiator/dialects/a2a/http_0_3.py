"""HTTP+JSON of 0.3: protobuf's JSON of an earlier schema, told here as what 1.0 says, and the other way round.

Its paths begin with `/v1`; a message has `content` for `parts`, a data part one object more around its value, and the
answer to a message is a `msg`. Source: specification 0.3.0, a2a.proto; clients that write the parts of 0.3's JSON-RPC
here, each with its `kind`, are read too.
"""

from dataclasses import dataclass
from typing import Final

from negotiator.dialects.a2a.objects import WRAPPED
from negotiator.jsonvalue import JsonObject, JsonValue

PREFIX: Final = "/v1"
_CANCELED: Final = "TASK_STATE_CANCELED"
_CANCELLED: Final = "TASK_STATE_CANCELLED"
_UNDER_WAY: Final = ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
_FILE: Final = (("url", "fileWithUri"), ("mediaType", "mimeType"), ("filename", "name"))


def read(found: JsonObject) -> JsonObject:
    """Parameters, a result or an event of 0.3 in the form of 1.0. What has another shape is left as it is."""
    told = dict(found)
    for name in ("request", "msg"):
        if isinstance(told.get(name), dict):
            told["message"] = told.pop(name)
    return _Turn(to_0_3=False).whole(told)


def write(found: JsonObject) -> JsonObject:
    """Parameters of 1.0 in the form of 0.3."""
    return _Turn(to_0_3=True).whole(found)


def answer(found: JsonObject) -> JsonObject:
    """A result or an event of 1.0 in the form of 0.3."""
    told = write(found)
    if isinstance(told.get("message"), dict):
        told["msg"] = told.pop("message")
    update = told.get("statusUpdate")
    if isinstance(update, dict):
        last = _object(update.get("status")).get("state") not in _UNDER_WAY
        told["statusUpdate"] = {**update, "final": last}
    return told


@dataclass(frozen=True, slots=True)
class _Turn:
    """From one form into the other, wherever a task, a message or a part may stand; data are never looked into."""

    to_0_3: bool

    def whole(self, found: JsonObject) -> JsonObject:
        told = self._task(found)
        for name in ("task", "statusUpdate", "artifactUpdate"):
            if isinstance(told.get(name), dict):
                told[name] = self._task(told[name])
        if isinstance(told.get("tasks"), list):
            told["tasks"] = [self._task(each) for each in told["tasks"] if isinstance(each, dict)]
        if "message" in told:
            told["message"] = self._message(told["message"])
        return told

    def _task(self, found: JsonObject) -> JsonObject:
        """A task, or the update of one."""
        told = dict(found)
        if isinstance(told.get("status"), dict):
            told["status"] = self._status(told["status"])
        if isinstance(told.get("artifacts"), list):
            told["artifacts"] = [self._artifact(each) for each in told["artifacts"]]
        if isinstance(told.get("history"), list):
            told["history"] = [self._message(each) for each in told["history"]]
        if "artifact" in told:
            told["artifact"] = self._artifact(told["artifact"])
        return told

    def _status(self, found: JsonObject) -> JsonObject:
        told = dict(found)
        if told.get("state") in (_CANCELED, _CANCELLED):
            told["state"] = _CANCELLED if self.to_0_3 else _CANCELED
        if "message" in told:
            told["message"] = self._message(told["message"])
        return told

    def _artifact(self, given: JsonValue) -> JsonValue:
        parts = _object(given).get("parts")
        return {**_object(given), "parts": self._parts(parts)} if isinstance(parts, list) else given

    def _message(self, given: JsonValue) -> JsonValue:
        found = _object(given)
        parts = found.get("content", found.get("parts"))
        if not isinstance(parts, list):
            return given
        rest: JsonObject = {name: value for name, value in found.items() if name not in ("content", "parts", "kind")}
        return {**rest, "content" if self.to_0_3 else "parts": self._parts(parts)}

    def _parts(self, parts: "list[JsonValue]") -> "list[JsonValue]":
        turned = _written_part if self.to_0_3 else _read_part
        return [turned(each) if isinstance(each, dict) else each for each in parts]


def _read_part(found: JsonObject) -> JsonObject:
    match found:
        case {"data": dict(data), "kind": "data"} | {"data": {"data": dict(data)}}:
            marked = _object(found.get("metadata")).get(WRAPPED) is True
            return {"data": data["value"] if marked and data.keys() == {"value"} else data}
        case {"file": dict(file)}:
            named = {ours: file.get(theirs) for ours, theirs in _FILE} | {
                "url": file.get("fileWithUri", file.get("uri"))
            }
            told: JsonObject = {name: value for name, value in named.items() if isinstance(value, str)}
            return told if "url" in told else {"raw": "", **told}
    return {name: value for name, value in found.items() if name != "kind"}


def _written_part(found: JsonObject) -> JsonObject:
    if "data" in found:
        value = found["data"]
        if isinstance(value, dict):
            return {"data": {"data": value}}
        return {"data": {"data": {"value": value}}, "metadata": {WRAPPED: True}}
    if "url" in found:
        return {"file": {theirs: found[ours] for ours, theirs in _FILE if ours in found}}
    return {"text": found.get("text", "")}


def _object(given: JsonValue) -> JsonObject:
    return given if isinstance(given, dict) else {}
