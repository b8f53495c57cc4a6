"""`negotiator demo`: two agents in two processes, from first words to no model at all."""

import argparse
import asyncio
import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

from negotiator.cli import exits
from negotiator.cli.console import Console
from negotiator.cli.options import Commands, command
from negotiator.errors import MissingExtra, UsageError

_ROUNDS = 100


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "demo",
        "watch two agents talk, agree and compile",
        description="Two agents in two processes, over HTTP on loopback. The same request is asked until no model is\n"
        "needed on either side; then further ones are, and both processes are started anew and it is asked again.\n"
        f"Exits with {exits.OK} only where both sides reached routines and no model was called after that.",
        example="  negotiator demo --model local --yes\n  negotiator demo --model scripted --json",
    )
    parser.add_argument(
        "--model",
        metavar="SPEC",
        default="local",
        help="local, local/FILE.gguf, openai/NAME, litellm/PROVIDER/NAME; scripted (prepared answers instead of a "
        "model), none (no model: both sides' schemas map exactly) (default: %(default)s)",
    )
    parser.add_argument("--yes", action="store_true", help="fetch the local model's weights (1.1 GB) without asking")
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=_count,
        default=_ROUNDS,
        help="further requests once no model is needed, each another (default: %(default)s)",
    )
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep what both sides learned in DIR, an empty folder")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Play it, show it."""
    from negotiator.cli.demo.play import Play  # noqa: PLC0415 - on use
    from negotiator.cli.demo.show import Show  # noqa: PLC0415
    from negotiator.cli.serving import require_uvicorn  # noqa: PLC0415

    require_uvicorn()
    if importlib.util.find_spec("diskcache") is None:
        raise MissingExtra('to be started anew takes a store on disk; install it with: pip install "metaparley[disk]"')
    _require_model(chosen.model, console, assume_yes=chosen.yes)
    with _folder(chosen.keep) as folder:
        show = Show(console, chosen.model)
        play = Play(chosen.model, folder, show, rounds=chosen.rounds)
        ended = asyncio.run(play.run())
    if chosen.keep is not None and not console.as_json:
        console.out(f"Kept: try `negotiator routines list --state {chosen.keep}/caller`.")
    return exits.OK if ended else exits.FAILED


def _require_model(spec: str, console: Console, *, assume_yes: bool) -> None:
    """Raise where the model cannot be had, before anything is begun; fetch what may be fetched."""
    from negotiator.models import open_model  # noqa: PLC0415 - on use

    if spec == "scripted":
        return
    open_model(spec)
    kind, _, path = spec.partition("/")
    if kind == "local":
        from negotiator.models import weights  # noqa: PLC0415

        with console.waiting("looking at the weights of the local model"):
            found = weights.find(path or None)
        if found is None:
            weights.ensure(path or None, assume_yes=assume_yes)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="negotiator-demo-") as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise UsageError(f"{keep} is not empty: the demo starts from nothing")
    except OSError as error:
        raise UsageError(f"{keep} cannot be used: {error.strerror}") from error
    yield keep.resolve()


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError("below 0")
    return number
