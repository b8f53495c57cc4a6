"""OpenRPC (1.3.2) as ANP-07 has it: an agent's tools as methods, and a peer's methods as functions. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from negotiator.dialects.anp.description import VERSION, absolute
from negotiator.dialects.anp.words import TRANSPORT_PROTECTED
from negotiator.dialects.json_body import read_object
from negotiator.dialects.offered import Offered
from negotiator.dialects.peer_tool import PeerTool, drafted_tool
from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Effect
from protocol_docs.annex import AnnexProblem, validator
from protocol_docs.tidy import map_subschemas, tidy

OPENRPC: Final = "1.3.2"
EFFECT: Final = "x-effect"
"""On a method: `safe` or `transactional`, which OpenRPC has no word for."""
MAX_METHODS: Final = 256
"""Methods of one interface that are read."""
_SCHEMAS: Final = "#/components/schemas/"


def write_interface(*, title: str, version: str, url: str, methods: Iterable[Offered]) -> JsonObject:
    """The interface of an agent whose calls go to `url`."""
    components: JsonObject = {}
    entries = [_entry(each, components) for each in methods]
    return {
        "openrpc": OPENRPC,
        "info": {
            "title": title,
            "version": version,
            "description": f"What {title} does.",
            "x-anp-protocol-type": "ANP",
            "x-anp-protocol-version": VERSION,
        },
        "servers": [{"name": title, "url": url}],
        "security": [{"didwba": []}],
        "methods": entries,
        "components": {
            "schemas": components,
            "securitySchemes": {"didwba": {"type": "http", "scheme": "bearer", "bearerFormat": "DID-WBA"}},
        },
        "x-security-profile": TRANSPORT_PROTECTED,
    }


def _entry(tool: Offered, components: JsonObject) -> JsonObject:
    takes = _shared(tidy(tool.input), tool.name, "input", components)
    gives = _shared(tidy(tool.output), tool.name, "output", components)
    properties: dict[str, Any] = takes.get("properties", {})
    required = takes.get("required", [])
    parameters = [
        {"name": name, "schema": schema, **({"required": True} if name in required else {})}
        for name, schema in properties.items()
    ]
    return {
        "name": tool.name,
        # The SDK takes no method that says nothing of itself.
        "description": tool.description or tool.name,
        "paramStructure": "by-name",
        "params": parameters,
        "result": {"name": "result", "schema": gives},
        EFFECT: tool.effect,
    }


def _shared(schema: JsonObject, tool: str, half: str, components: JsonObject) -> JsonObject:
    """A schema whose own definitions, those that could not be written out, stand among the components."""
    for word in ("$defs", "definitions"):
        definitions = schema.get(word)
        if not isinstance(definitions, dict):
            continue
        renamed = {f"#/{word}/{name}": f"{tool}.{half}.{name}" for name in definitions}
        schema = _moved({key: value for key, value in schema.items() if key != word}, renamed)
        for name, definition in definitions.items():
            components[renamed[f"#/{word}/{name}"]] = _moved(definition, renamed)
    return schema


def _moved(schema: Any, renamed: dict[str, str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = map_subschemas(schema, lambda child: _moved(child, renamed))
    if made.get("$ref") in renamed:
        made["$ref"] = _SCHEMAS + renamed[made["$ref"]]
    return made


# --- a peer's ---


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a peer's, and where it is called."""

    tool: PeerTool
    url: str
    human_authorization: bool = False
    """Whether a person has to agree to each call."""


def read_interface(
    data: bytes | JsonObject, found_at: str, *, servers: JsonValue = None, human_authorization: bool = False
) -> list[Method]:
    """The methods of an interface that can be used: called by name, with schemas that are whole.

    `servers` stand in where the interface names none. Raises `PeerMisspoke` for what is no OpenRPC.
    """
    try:
        value = read_object(data) if isinstance(data, bytes) else data
    except ValueError as error:
        raise PeerMisspoke(f"the interface cannot be read: {error}") from None
    methods = value.get("methods")
    if not isinstance(value.get("openrpc"), str) or not isinstance(methods, list):
        raise PeerMisspoke("the interface is no OpenRPC")
    shared = value.get("components")
    schemas = shared.get("schemas") if isinstance(shared, dict) else None
    components = schemas if isinstance(schemas, dict) else {}
    general = _server(value.get("servers"), found_at) or _server(servers, found_at)
    made: list[Method] = []
    for entry in methods[:MAX_METHODS]:
        if not isinstance(entry, dict) or entry.get("paramStructure") == "by-position":
            continue
        url = _server(entry.get("servers"), found_at) or general
        try:
            tool = _tool(entry, components)
        except AnnexProblem:
            continue
        if url is not None and tool is not None:
            asks = human_authorization or entry.get("humanAuthorization") is True
            made.append(Method(tool, url, asks))
    return made


def _tool(entry: JsonObject, components: JsonObject) -> PeerTool | None:
    params, result = entry.get("params", []), entry.get("result")
    if not isinstance(params, list):
        return None
    properties: JsonObject = {}
    required: list[str] = []
    for each in params:
        name, schema = (each.get("name"), each.get("schema", {})) if isinstance(each, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(schema, dict):
            return None
        about = each.get("description")
        own = _own(schema)
        properties[name] = own if not isinstance(about, str) or "description" in own else {**own, "description": about}
        if each.get("required") is True:
            required.append(name)
    takes: JsonObject = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        takes["required"] = required
    gives = result.get("schema") if isinstance(result, dict) else None
    effect: Effect = "safe" if entry.get(EFFECT) == "safe" else "transactional"
    return drafted_tool(
        entry.get("name"),
        entry.get("description") or entry.get("summary"),
        takes=_whole(takes, components),
        # A result without a schema is any JSON, not free text.
        gives=_whole(_own(gives) if isinstance(gives, dict) else {}, components),
        effect=effect,
    )


def _own(schema: JsonObject) -> JsonObject:
    """A parameter's schema with its own definitions written out: the SDK emits what pydantic makes as it is.

    Raises `AnnexProblem` for what is no schema.
    """
    if "$defs" not in schema and "definitions" not in schema:
        return schema
    validator(schema)
    return tidy(schema)


def _whole(schema: JsonObject, components: JsonObject) -> JsonObject:
    """The schema with what it refers to among the components as its own definitions, as far as those are needed."""
    needed: dict[str, Any] = {}

    def move(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        made = map_subschemas(node, move)
        reference = made.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            name = reference.removeprefix(_SCHEMAS)
            made["$ref"] = "#/$defs/" + name
            plain = name.replace("~1", "/").replace("~0", "~")
            if plain in components and plain not in needed:
                needed[plain] = True
                needed[plain] = move(components[plain])
        return made

    made: JsonObject = move(schema)
    return {**made, "$defs": needed} if needed else made


def _server(value: JsonValue, found_at: str) -> str | None:
    servers: Sequence[Any] = value if isinstance(value, list) else ()
    urls = (each.get("url") for each in servers if isinstance(each, dict))
    return next((whole for url in urls if isinstance(url, str) and (whole := absolute(found_at, url))), None)
