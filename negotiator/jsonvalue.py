"""Names for plain JSON, as it is after decoding: finite numbers, text keys, no cycles."""

from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
"""None, bool, int, float, str, or a list or dict of such. What it holds is checked against a schema, not typed."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object."""
