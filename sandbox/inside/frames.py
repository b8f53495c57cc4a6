"""Messages over a pipe: four bytes of length (big-endian), one byte of kind, the payload.

To the worker: CONFIG once, then CALL or CHECK; during a CALL also RESULT_OF_TOOL, TOOL_FAILED and TOOL_MISUSED.
From the worker: READY or UNFIT once, then for each CALL any number of TOOL and one of RETURNED,
FAILED, VIOLATION, UNKNOWN, and for each CHECK one of FINE, VIOLATION.

The payload of CALL and CHECK is a header, the source and the data, the first two with four bytes of their length
before them; a length of all ones stands for no source, where the worker has it.
"""

import struct

PARENT = struct.Struct("!i")
"""What a template gets with the two pipes of its next worker: the host's process id."""
FORKED = struct.Struct("!ii")
"""What it answers: the worker's process id and 0, or 0 and the number of the error that refused it."""
HEAD = struct.Struct("!IB")
_LENGTH = struct.Struct("!I")
_NONE = 0xFFFFFFFF
NO_SOURCE = _LENGTH.pack(_NONE)

CONFIG, CALL, CHECK = b"c"[0], b"C"[0], b"K"[0]
RESULT_OF_TOOL, TOOL_FAILED, TOOL_MISUSED = b"r"[0], b"f"[0], b"m"[0]
READY, UNFIT = b"Y"[0], b"N"[0]
TOOL, RETURNED, FAILED, VIOLATION, UNKNOWN, FINE = b"T"[0], b"R"[0], b"F"[0], b"V"[0], b"U"[0], b"O"[0]


def frame(kind: int, *parts: bytes) -> bytes:
    """One message."""
    return b"".join((HEAD.pack(sum(map(len, parts)), kind), *parts))


def part(text: bytes) -> bytes:
    """A header or a source, with its length before it."""
    return _LENGTH.pack(len(text)) + text


def read_request(payload: bytes) -> tuple[bytes, str | None, bytes]:
    """Header, source (None where there is none) and data of a CALL or CHECK."""
    end = _LENGTH.size + _LENGTH.unpack_from(payload)[0]
    header, start = payload[_LENGTH.size : end], end + _LENGTH.size
    length = _LENGTH.unpack_from(payload, end)[0]
    if length == _NONE:
        return header, None, payload[start:]
    return header, payload[start : start + length].decode(), payload[start + length :]
