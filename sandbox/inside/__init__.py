"""What runs on the handler's side of the wall.

The worker process imports this package and RestrictedPython and nothing else of ours, so no module here
imports from the rest of `sandbox`. The `trusted` executor uses the same language in the host's process.
"""

POLICY_VERSION = "2"
"""Raised with every change that may refuse a program or change what it computes; part of a routine's verdict."""
