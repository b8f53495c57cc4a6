"""The command `negotiator`. One module a command; `negotiator.cli.exits` says what the exit codes mean."""

from negotiator.cli.command import main

__all__ = ["main"]
