"""From an OpenAPI 3.0 description to one protocol document an operation, by rule: no model and no hand.

- The name is the operation's `operationId`, the description its summary and its description, links without their
  addresses. (Some operations differ in nothing but their `operationId`.)
- The request schema is an object of the operation's parameters and, in `body`, of its JSON body; a body that is an
  object gives its members to the request itself where no parameter has their name.
- The reply schema is that of the first successful response with a JSON body; none means an empty object.
- GET and HEAD are safe, the rest is transactional.
- References are written out as deep as `DEPTH` objects in each other; what lies deeper is any JSON.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from protocol_docs import MalformedDocument, ProtocolDocument, draft_document

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
DEPTH: Final = 2
"""Objects in each other of which a schema's members are written out; one fewer where the document would be too large."""
_KEPT: Final = (
    "type",
    "description",
    "enum",
    "default",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "required",
)
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation with its document."""

    name: str
    """Its `operationId`."""
    method: str
    path: str
    document: ProtocolDocument


def operations(api: dict[str, Any]) -> Iterator[Operation]:
    """The operations of an OpenAPI description in its order."""
    for path, item in api["paths"].items():
        for method in METHODS:
            if method in item:
                shared = item.get("parameters", [])
                yield Operation(item[method]["operationId"], method, path, _document(api, method, item[method], shared))


def _document(api: dict[str, Any], method: str, operation: dict[str, Any], shared: list[Any]) -> ProtocolDocument:
    for depth in range(DEPTH, 0, -1):
        try:
            return draft_document(
                name=operation["operationId"],
                description=_plain(f"{operation['summary']}. {operation.get('description', '')}"),
                request_schema=_request(api, [*shared, *operation.get("parameters", [])], operation, depth),
                reply_schema=_reply(api, operation, depth),
                effect="safe" if method in ("get", "head") else "transactional",
            )
        except MalformedDocument:
            continue
    raise MalformedDocument(f"no document of {operation['operationId']} is small enough")


def _request(api: dict[str, Any], parameters: list[Any], operation: dict[str, Any], depth: int) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    for given in parameters:
        parameter = _followed(api, given)
        schema = _written_out(api, parameter.get("schema", {}), depth)
        if parameter.get("description"):
            schema["description"] = _plain(parameter["description"])
        properties[parameter["name"]] = schema
        if parameter.get("required"):
            required.append(parameter["name"])
    body = _json(_followed(api, operation.get("requestBody", {})))
    if body is not None:
        schema = _written_out(api, body, depth)
        members = schema.get("properties", {})
        if members and not members.keys() & properties.keys():
            properties |= members
            required += schema.get("required", [])
        else:
            properties["body"] = schema
    return _object(properties, required)


def _reply(api: dict[str, Any], operation: dict[str, Any], depth: int) -> dict[str, Any]:
    for status, given in sorted(operation["responses"].items()):
        schema = _json(_followed(api, given)) if status.startswith("2") else None
        if schema is not None:
            return _written_out(api, schema, depth)
    return _object({}, [])


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": properties}
    return made | {"required": required} if required else made


def _json(content: dict[str, Any]) -> dict[str, Any] | None:
    schema = content.get("content", {}).get("application/json", {}).get("schema")
    return schema if isinstance(schema, dict) else None


def _followed(api: dict[str, Any], node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        found: Any = api
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def _written_out(api: dict[str, Any], given: Any, depth: int) -> dict[str, Any]:
    """A schema in JSON Schema's words without references."""
    schema = _followed(api, given)
    if not isinstance(schema, dict):
        return {}
    if depth <= 0:
        return {key: schema[key] for key in ("type", "enum", "format") if key in schema and not schema.get("nullable")}
    made = {key: schema[key] for key in _KEPT if key in schema}
    if "description" in made:
        made["description"] = _plain(made["description"])
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
    if isinstance(schema.get("properties"), dict):
        made["properties"] = {name: _written_out(api, part, depth - 1) for name, part in schema["properties"].items()}
    if "items" in schema:
        made["items"] = _written_out(api, schema["items"], depth)
    made |= {
        word: [_written_out(api, part, depth) for part in schema[word]]
        for word in ("allOf", "anyOf", "oneOf")
        if isinstance(schema.get(word), list)
    }
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _written_out(api, schema["additionalProperties"], depth - 1)
    return made


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text)
