"""That a process has ended, without asking again and again."""

import os
import select


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended; it fails the test where it does not, within 20 s."""
    try:
        descriptor = os.pidfd_open(pid)
    except (ProcessLookupError, AttributeError):  # no such process, or no such call on this system
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        assert poll.poll(20_000), f"process {pid} is still there"
    finally:
        os.close(descriptor)
