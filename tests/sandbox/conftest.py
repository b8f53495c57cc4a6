"""One pool of workers for all tests of the sandbox, and the programs of `attacks.txt` and `benign.txt`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sandbox.locked import Locked
from tests.sandbox.shore import CANARY, Shore, language_alone

HERE = Path(__file__).parent
# Limits, which are on whichever wall is tried, are what holds these.
RESOURCES = ("loops:", "numbers:", "patterns:", "memory:", "depth:", "floods:", "compile:")


class Idiom(NamedTuple):
    source: str
    text: str
    """The data, as JSON."""

    def copied(self) -> Any:
        return json.loads(self.text)


class Benign(NamedTuple):
    source: str
    data: Any
    expected: Any


@pytest.fixture(scope="session")
def locked() -> Iterator[Locked]:
    executor = Locked(workers=3)
    yield executor
    executor.close()


@pytest.fixture
def executor() -> Iterator[Locked]:
    """A pool of a test's own, without spares: nothing is on its way when a call is over."""
    made = Locked(workers=2, spares=0)
    yield made
    made.close()


@pytest.fixture
def shore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shore]:
    monkeypatch.setenv("SANDBOX_CANARY", CANARY)
    made = Shore(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shore, Locked]]:
    shore = Shore(tmp_path_factory.mktemp("watched"))
    executor = language_alone(shore)
    yield shore, executor
    executor.close()
    shore.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`attack`: a hostile program; `benign`: a harmless one with data and result; `idiom`: an everyday one with data."""
    if "attack" in metafunc.fixturenames:
        _parametrize(metafunc, "attack", attacks())
    if "attack_beyond_limits" in metafunc.fixturenames:
        left = {name: source for name, source in attacks().items() if not name.startswith(RESOURCES)}
        _parametrize(metafunc, "attack_beyond_limits", left)
    if "benign" in metafunc.fixturenames:
        _parametrize(metafunc, "benign", benign())

    if "idiom" in metafunc.fixturenames:
        _parametrize(metafunc, "idiom", read_idioms())


@pytest.fixture(scope="session")
def quick_attacks() -> dict[str, str]:
    """The hostile programs that are not after time and memory."""
    return {name: source for name, source in attacks().items() if not name.startswith(RESOURCES)}


@pytest.fixture(scope="session")
def idioms() -> dict[str, Idiom]:
    return read_idioms()


def read_idioms() -> dict[str, Idiom]:
    """Everyday programs with their data."""
    return {
        name: Idiom(source, data.removeprefix("# data:"))
        for name, body in _sections("idioms.txt")
        for data, source in [body.split("\n", 1)]
    }


def _parametrize(metafunc: pytest.Metafunc, fixture: str, programs: dict[str, Any]) -> None:
    metafunc.parametrize(fixture, programs.values(), ids=programs.keys())


def attacks() -> dict[str, str]:
    """Source by name. A text that would be tedious to spell is an expression after `@generated`."""
    found = {}
    for name, body in _sections("attacks.txt"):
        if body.startswith("@generated "):
            # Our own file, and only strings and ranges in it.
            found[name] = eval(body.removeprefix("@generated "), {"__builtins__": {"range": range}})  # noqa: S307
        else:
            found[name] = body
    return found


def benign() -> dict[str, Benign]:
    """Programs with their data and result, given as `# data:` and `# result:` lines of JSON."""
    found = {}
    for name, body in _sections("benign.txt"):
        data, result, source = body.split("\n", 2)
        found[name] = Benign(
            source, json.loads(data.removeprefix("# data:")), json.loads(result.removeprefix("# result:"))
        )
    return found


def _sections(file: str) -> list[tuple[str, str]]:
    text = "\n" + (HERE / file).read_text(encoding="utf-8")
    parts = [part.partition("\n") for part in text.split("\n=== ")[1:]]
    found = [(name, body.rstrip("\n") + "\n") for name, _, body in parts]
    assert len({name for name, _ in found}) == len(found), "two programs have one name"
    return found
