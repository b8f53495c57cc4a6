"""The command line as a whole: help, exit codes, errors."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from negotiator.agent import Agent
from negotiator.cli import exits
from negotiator.cli.command import parser
from negotiator.errors import (
    BadInput,
    BudgetSpent,
    DeadlinePassed,
    EffectsAlreadyMade,
    MissingExtra,
    ModelMisspoke,
    ModelUnavailable,
    NotPossible,
    OutcomeUnknown,
    Overloaded,
    PeerFailed,
    PeerHungUp,
    PeerUnreachable,
    UsageError,
)
from protocol_docs import MalformedDocument, StoreFull
from sandbox import HandlerFailed, SandboxUnavailable

COMMANDS = ["demo", "serve", "ask", "docs", "routines", "doctor"]
LEAVES = [
    ["demo"],
    ["serve"],
    ["ask"],
    ["doctor"],
    *(["docs", action] for action in ("list", "show", "add", "find", "verify")),
    *(["routines", action] for action in ("list", "show", "drop")),
]
ASK = ["ask", "http://127.0.0.1:9", "--task", "t", "--input", "{}", "--state", "memory"]


def test_help_names_every_command_and_every_exit_code(negotiator: Any) -> None:
    ran = negotiator("--help")
    assert ran.code == exits.OK
    assert [name for name in COMMANDS if not re.search(rf"^    {name} ", ran.out, re.MULTILINE)] == []
    for code, meaning in exits.MEANINGS.items():
        assert f"{code}  {meaning}" in ran.out


@pytest.mark.parametrize("leaf", LEAVES, ids=" ".join)
def test_every_command_shows_an_example_that_it_accepts_and_offers_json(leaf: list[str], negotiator: Any) -> None:
    ran = negotiator(*leaf, "--help")
    assert ran.code == exits.OK
    assert "--json" in ran.out
    example = ran.out.partition("example:\n")[2]
    line = example.replace("\\\n", " ").splitlines()[0].strip()
    assert line.startswith("negotiator ")
    import shlex

    assert parser().parse_args(shlex.split(line)[1:]).run


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["nonsense"],
        ["docs"],
        ["ask"],
        ["demo", "--rounds", "-1"],
        [*ASK, "--timeout", "0"],
        [*ASK, "--effect", "harmless"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_ends_with_2_and_says_how_it_goes(wrong: list[str], negotiator: Any) -> None:
    ran = negotiator(*wrong)
    assert ran.code == exits.USAGE
    assert "usage:" in ran.err
    assert ran.out == ""


ERRORS = [
    (PeerFailed("no"), exits.FAILED),
    (PeerHungUp("gone"), exits.FAILED),
    (BudgetSpent("spent"), exits.FAILED),
    (EffectsAlreadyMade(), exits.FAILED),
    (ModelMisspoke("garbage"), exits.FAILED),
    (HandlerFailed("raised"), exits.FAILED),
    (MalformedDocument("empty"), exits.FAILED),
    (UsageError("wrong"), exits.USAGE),
    (BadInput(violations=(("/day", "is no date"),)), exits.USAGE),
    (MissingExtra("install it"), exits.NOT_HERE),
    (NotPossible("no tier"), exits.NOT_HERE),
    (ModelUnavailable("no key"), exits.NOT_HERE),
    (SandboxUnavailable("no wall"), exits.NOT_HERE),
    (StoreFull(), exits.NOT_HERE),
    (OutcomeUnknown(), exits.UNKNOWN),
    (PeerUnreachable("nobody"), exits.AGAIN),
    (Overloaded(), exits.AGAIN),
    (DeadlinePassed(), exits.AGAIN),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_each_error_ends_in_its_exit_code_with_one_line_and_an_object(
    error: Exception, code: int, negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Agent, "ask", ask)
    ran = negotiator(*ASK, "--json")
    assert ran.code == code
    assert "Traceback" not in ran.err
    assert ran.err.startswith("negotiator: ")
    assert len(ran.err.splitlines()) == 1
    assert ran.json["exit_code"] == code
    assert ran.json["error"]["code"] == error.code  # type: ignore[attr-defined]
    plain = negotiator(*ASK)
    assert (plain.code, plain.out) == (code, "")


def test_what_does_not_fit_is_named(negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(*_: object, **__: object) -> None:
        raise BadInput(violations=(("/day", "is no date"),))

    monkeypatch.setattr(Agent, "ask", ask)
    ran = negotiator(*ASK, "--json")
    assert "/day: is no date" in ran.err
    assert ran.json["error"]["violations"] == [{"at": "/day", "what": "is no date"}]


def test_an_interrupted_command_ends_with_130(negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Agent, "ask", ask)
    ran = negotiator(*ASK)
    assert ran.code == exits.INTERRUPTED
    assert "Traceback" not in ran.err


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "negotiator.cli", "docs", "list"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (exits.OK, "")


def test_an_error_of_ours_is_not_hidden(negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Agent, "ask", ask)
    with pytest.raises(RuntimeError, match="a defect"):
        negotiator(*ASK)
