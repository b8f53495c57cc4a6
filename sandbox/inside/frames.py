"""Messages over a pipe: four bytes of length (big-endian), one byte of kind, the payload.

To the worker: CONFIG once, then CALL or CHECK; during a CALL also RESULT_OF_TOOL, TOOL_FAILED and TOOL_MISUSED.
From the worker: READY or UNFIT once, then for each CALL any number of TOOL and one of RETURNED,
FAILED, VIOLATION, UNKNOWN, and for each CHECK one of FINE, VIOLATION.
"""

import struct

HEAD = struct.Struct("!IB")

CONFIG, CALL, CHECK = b"c"[0], b"C"[0], b"K"[0]
RESULT_OF_TOOL, TOOL_FAILED, TOOL_MISUSED = b"r"[0], b"f"[0], b"m"[0]
READY, UNFIT = b"Y"[0], b"N"[0]
TOOL, RETURNED, FAILED, VIOLATION, UNKNOWN, FINE = b"T"[0], b"R"[0], b"F"[0], b"V"[0], b"U"[0], b"O"[0]


def frame(kind: int, *parts: bytes) -> bytes:
    """One message."""
    return b"".join((HEAD.pack(sum(map(len, parts)), kind), *parts))
