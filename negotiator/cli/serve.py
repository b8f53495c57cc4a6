"""`negotiator serve`: an agent of yours, behind HTTP."""

import argparse
import asyncio
import importlib
import socket
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from negotiator.cli import exits
from negotiator.cli.console import Console
from negotiator.cli.options import Commands, command
from negotiator.errors import UsageError

if TYPE_CHECKING:
    from negotiator.agent import Agent


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "serve",
        "serve an agent of yours over HTTP",
        description="Serve the Agent that stands as NAME in MODULE, and print its address when it is ready.\n"
        "SIGTERM and Ctrl-C end what was accepted first; a second one does not wait. With --workers, that many\n"
        "processes share the port and what is kept on disk, and one that ends is replaced.",
        example="  negotiator serve weather:agent --port 8000 --workers 2",
    )
    parser.add_argument("agent", metavar="MODULE:NAME", help="the module is looked for in the current folder too")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--workers", type=_number, default=1, metavar="N", help="processes (default: %(default)s)")
    # How a worker is started: the socket that all of them listen at. See `negotiator.cli.workers`.
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Serve until told to end."""
    from negotiator.cli import serving  # noqa: PLC0415 - on use

    serving.require_uvicorn()
    if chosen.fd is not None:
        from negotiator.cli.workers import serve_as_one  # noqa: PLC0415 - on use

        agent, listening = load(chosen.agent), socket.socket(fileno=chosen.fd)
        serving.run(serve_as_one(agent, listening, facts_of(agent, listening, console)))
        return exits.OK
    if chosen.workers > 1:
        from negotiator.cli.workers import Workers  # noqa: PLC0415 - on use

        listening = serving.listen(chosen.host, chosen.port)
        return asyncio.run(Workers(chosen.agent, listening, chosen.workers, console.note).serve(partial(_say, console)))
    agent = load(chosen.agent)
    listening = serving.listen(chosen.host, chosen.port)
    facts = facts_of(agent, listening, console)
    serving.run(serving.serve_agent(agent, listening, ready=partial(_say, console, facts)))
    return exits.OK


def facts_of(agent: "Agent", listening: socket.socket, console: Console) -> dict[str, Any]:
    """What is said of a server that is ready; `notes` are what its owner should know."""
    from negotiator.cli.serving import address_of  # noqa: PLC0415 - on use

    return {
        "address": address_of(listening),
        "name": agent.engine.name,
        "model": agent.engine.model.name,
        "tools": list(agent.engine.tools),
        "state": None if agent.state_directory is None else str(agent.state_directory),
        "notes": list(_notes(agent, listening.getsockname()[0], console)),
    }


def _say(console: Console, facts: dict[str, Any]) -> None:
    for note in facts["notes"]:
        console.note(f"note: {note}")
    if console.as_json:
        console.json({name: value for name, value in facts.items() if name != "notes"})
        return
    tools = ", ".join(facts["tools"]) or "none"
    workers = f"; workers: {facts['workers']}" if "workers" in facts else ""
    console.out(f"{facts['address']}  (model {facts['model']}; tools: {tools}{workers})")


def load(named: str) -> "Agent":
    """The agent at `module:name`. Raises `UsageError`."""
    from negotiator.agent import Agent  # noqa: PLC0415 - on use

    module_name, colon, attribute = named.partition(":")
    if not (module_name and colon and attribute):
        raise UsageError(f"{named!r} is not MODULE:NAME, such as weather:agent")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except exits.EXPECTED:
        raise
    except Exception as error:
        raise UsageError(_why_not(module_name, error)) from error
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Agent):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise UsageError(f"{module_name} has {what} named {attribute}; an Agent is needed")
    return found


def _why_not(module_name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]:
        return f"there is no module {module_name} here or on the path"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{module_name} cannot be imported: {type(error).__name__}: {error} ({place.filename}:{place.lineno})"


def _notes(agent: "Agent", host: str, console: Console) -> Iterator[str]:
    if host not in ("127.0.0.1", "::1"):
        yield f"{host} may be reached from other machines, and callers are not asked who they are"
    if agent.engine.words_alone:
        from negotiator.own_words import WORDS_ALONE  # noqa: PLC0415 - on use

        yield WORDS_ALONE
    elif not agent.engine.tools and not agent.engine.natives:
        yield "the agent offers no tool"
    if agent.state_directory is None:
        yield "what is learned is kept in memory only and is lost at the end"
    if agent.engine.model.name.startswith("local/"):
        from negotiator.models import weights  # noqa: PLC0415 - on use

        with console.waiting("checking the weights of the local model"):
            missing = weights.find() is None
        if missing:
            yield (
                "the weights of the local model are not here; fetch them (1.1 GB) with: "
                "python -m negotiator.models.weights --yes"
            )


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("at least 1")
    return number
