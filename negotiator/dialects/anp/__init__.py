"""The Agent Network Protocol: Core Binding, negotiation, descriptions, OpenRPC and protocol artifacts. Pure."""

from negotiator.dialects.anp.artifact import Artifact, ArtifactRefused, read_artifact, write_artifact
from negotiator.dialects.anp.binding import Call, Meta, Target, read_call
from negotiator.dialects.anp.description import Description, read_description
from negotiator.dialects.anp.negotiating import Negotiate, Result, read_negotiate, read_result
from negotiator.dialects.anp.openrpc import Method, read_interface, write_interface

__all__ = [
    "Artifact",
    "ArtifactRefused",
    "Call",
    "Description",
    "Meta",
    "Method",
    "Negotiate",
    "Result",
    "Target",
    "read_artifact",
    "read_call",
    "read_description",
    "read_interface",
    "read_negotiate",
    "read_result",
    "write_artifact",
    "write_interface",
]
