"""Agora in its five dialects: the paper's, 2024's, 2025's, the published package's, and the paper's demo's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from negotiator.dialects.agora.envelope import AgoraDialect
from negotiator.dialects.agora.sniff import (
    DEMO,
    PACKAGE_020,
    PAPER,
    STANDARD_2024,
    STANDARD_2025,
    read,
    sniff,
    sniff_reply,
    told_by,
)
from negotiator.dialects.agora.spellings import SPELLINGS, Spelling, refusal, spelling_of

DIALECTS: Final[Mapping[str, AgoraDialect]] = MappingProxyType(
    {dialect.name: dialect for dialect in (PAPER, STANDARD_2024, STANDARD_2025, PACKAGE_020, DEMO)}
)
"""By name."""

__all__ = [
    "DEMO",
    "DIALECTS",
    "PACKAGE_020",
    "PAPER",
    "SPELLINGS",
    "STANDARD_2024",
    "STANDARD_2025",
    "AgoraDialect",
    "Spelling",
    "read",
    "refusal",
    "sniff",
    "sniff_reply",
    "spelling_of",
    "told_by",
]
