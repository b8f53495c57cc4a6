"""`negotiator ask`: one request to a peer."""

import argparse
import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from negotiator.cli import exits
from negotiator.cli.console import Console, short
from negotiator.cli.options import Commands, add_state, command, json_file, json_text, positive
from negotiator.errors import UsageError

if TYPE_CHECKING:
    from negotiator.agent import Agent
    from negotiator.outcome import Outcome
    from negotiator.task import Task


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "ask",
        "ask a peer to do something",
        description="Ask the peer at URL to do a task, and print its output as JSON; with --json the whole outcome.",
        example="  negotiator ask http://127.0.0.1:8000 --task 'Weather forecast for a place and a date' \\\n"
        '      --input \'{"place": "Rome", "when": "2026-11-24"}\' --effect safe --model local --learn',
    )
    parser.add_argument("url", metavar="URL", help="where the peer is")
    parser.add_argument("--task", metavar="TEXT", required=True, help="what is wanted, in a sentence or two")
    parser.add_argument(
        "--input", metavar="JSON", required=True, help="an object; @FILE reads a file, - standard input"
    )
    parser.add_argument("--input-schema", metavar="FILE", help="JSON Schema of the input")
    parser.add_argument("--output-schema", metavar="FILE", help="JSON Schema of the output")
    parser.add_argument(
        "--effect",
        choices=("safe", "transactional"),
        default="transactional",
        help="whether it may be repeated; transactional requests are never sent twice (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        metavar="SPEC",
        default="none",
        help="none, local, local/FILE.gguf, openai/NAME, litellm/PROVIDER/NAME (default: %(default)s)",
    )
    add_state(parser)
    parser.add_argument("--learn", action="store_true", help="wait until what this request taught is learned")
    parser.add_argument("--timeout", metavar="S", type=positive, default=60.0, help="seconds (default: %(default)g)")
    parser.add_argument("--idempotency-key", metavar="K", help="the same key gets the same reply")
    parser.add_argument("--trace", action="store_true", help="say on standard error what was done, step by step")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Ask, print, and learn where that is wished."""
    from negotiator.agent import Agent  # noqa: PLC0415 - on use
    from negotiator.oauth import LoopbackReceiver, OAuthClient  # noqa: PLC0415
    from negotiator.task import Task  # noqa: PLC0415

    if urlsplit(chosen.url).scheme not in ("http", "https"):
        raise UsageError(f"{chosen.url} is not an http or https address")
    value = json_text(chosen.input, "the input")
    if not isinstance(value, dict):
        raise UsageError("the input is not a JSON object")
    task = Task(
        chosen.task,
        input=json_file(chosen.input_schema, "the input schema"),
        output=json_file(chosen.output_schema, "the output schema"),
        effect=chosen.effect,
    )
    # Who sits at a terminal can say yes to a server that asks for an authorization; a script is never waited for.
    person = LoopbackReceiver() if sys.stdin.isatty() and sys.stderr.isatty() else None
    oauth = OAuthClient(authorize=person, name="negotiator ask")
    agent = Agent(model=chosen.model, name="negotiator ask", state=chosen.state, oauth=oauth)
    return asyncio.run(_ask(agent, task, value, chosen, console))


async def _ask(agent: "Agent", task: "Task", value: Any, chosen: argparse.Namespace, console: Console) -> int:
    async with agent:
        with console.waiting(f"asking {chosen.url}"):
            outcome = await agent.ask(
                chosen.url, task, value, seconds=chosen.timeout, idempotency_key=chosen.idempotency_key
            )
        if chosen.trace:
            _trace(outcome, console)
        if not console.as_json:
            console.out(_pretty(outcome.json))
        learned: list[dict[str, Any]] | None = None
        if chosen.learn:
            with console.waiting("learning"):
                await agent.settle()
            learned = _learned(agent, task, console)
        if console.as_json:
            console.json(facts_of(outcome) | ({} if learned is None else {"learned": learned}))
    return exits.OK


def facts_of(outcome: "Outcome") -> dict[str, Any]:
    """An outcome for programs."""
    return {
        "output": outcome.json,
        "tier": outcome.tier,
        "peer_tier": outcome.peer_tier,
        "protocol_hash": outcome.protocol_hash,
        "reason": outcome.reason,
        "model": outcome.model,
        "usage": asdict(outcome.usage),
        "seconds": outcome.seconds,
        "trace": [asdict(step) for step in outcome.trace],
    }


def _trace(outcome: "Outcome", console: Console) -> None:
    for step in outcome.trace:
        console.note(f"{step.ms:8.1f} ms  {step.what:<10} {step.detail}")
    usage = outcome.usage
    console.note(
        f"{outcome.seconds * 1000:8.1f} ms  {outcome.tier}, peer {outcome.peer_tier}; "
        f"{usage.calls} model calls, {usage.tokens} tokens ({outcome.model})"
    )


def _learned(agent: "Agent", task: "Task", console: Console) -> list[dict[str, Any]]:
    from negotiator.cli.routines import facts_of as routine_facts  # noqa: PLC0415 - on use
    from negotiator.cli.routines import summary_of  # noqa: PLC0415

    ours = [each for each in agent.routines() if each.role == "sender" and each.key_digest == task.digest]
    for routine in ours:
        console.note(f"learned: {short(routine.protocol_hash)} {routine.kind} {summary_of(routine)}")
    if not ours:
        console.note("learned: nothing yet; ask again, an agreement is made once it is worth its price")
    return [routine_facts(routine) for routine in ours]


def _pretty(value: Any) -> str:
    import json  # noqa: PLC0415 - on use

    return json.dumps(value, ensure_ascii=False, indent=2)
