"""What one call may use."""

from dataclasses import dataclass

MAX_WALL_S = 60.0
"""The longest time a call may be given, in seconds."""
MAX_SOURCE_BYTES = 64 * 1024
"""The longest source that is compiled, in UTF-8 bytes."""
MAX_DATA_BYTES = 8 * 1024 * 1024
"""The most that goes into one call as data, and the most that its tools may return together, in bytes of JSON."""
MAX_MEMORY_BYTES = 8 * 1024 * 1024 * 1024
MAX_OUTPUT_BYTES = 64 * 1024 * 1024
MAX_TOOL_CALLS = 10_000
MIN_MEMORY_BYTES = 8 * 1024 * 1024
"""The least memory that a worker can do anything useful with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use. All are held by the host or the operating system, not by the handler.

    Raises:
        ValueError: A number is out of its range.
    """

    wall_s: float = 2.0
    """Seconds that the handler may run, the time inside tools not counted. Above 0, at most 60."""
    memory_bytes: int = 64 * 1024 * 1024
    """Address space above the idle worker's own, in bytes. From 8 MiB to 8 GiB."""
    output_bytes: int = 1024 * 1024
    """Bytes of JSON of the result; the arguments of all tool calls together may be as many again. From 1 to 64 MiB."""
    tool_calls: int = 64
    """How often the handler may call a tool. From 0 to 10,000."""

    def __post_init__(self) -> None:
        if not 0 < self.wall_s <= MAX_WALL_S:
            raise ValueError(f"wall_s is above 0 and at most {MAX_WALL_S:g} seconds")
        if not MIN_MEMORY_BYTES <= self.memory_bytes <= MAX_MEMORY_BYTES:
            raise ValueError(f"memory_bytes is from {MIN_MEMORY_BYTES} to {MAX_MEMORY_BYTES}")
        if not 1 <= self.output_bytes <= MAX_OUTPUT_BYTES:
            raise ValueError(f"output_bytes is from 1 to {MAX_OUTPUT_BYTES}")
        if not 0 <= self.tool_calls <= MAX_TOOL_CALLS:
            raise ValueError(f"tool_calls is from 0 to {MAX_TOOL_CALLS}")


DEFAULT_LIMITS = Limits()
