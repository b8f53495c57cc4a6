"""`negotiator doctor` says what is so."""

import importlib.util
import tomllib
from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sandbox
from negotiator.cli import doctor, exits

ROOT = Path(__file__).parents[3]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No weights to hash, and a sandbox that has been tried."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    held = (sandbox.Probe("file", held=True, detail=""),)
    report = sandbox.Report("locked", sandbox.Level.FULL, {}, held)
    monkeypatch.setattr(sandbox, "self_test", lambda *_: report)


def _by_name(found: Any) -> dict[str, Any]:
    return {each["name"]: each for each in found["findings"]}


@pytest.mark.usefixtures("quick")
def test_a_sound_installation_is_all_right(negotiator: Any) -> None:
    ran = negotiator("doctor", "--json")
    assert ran.code == exits.OK
    assert ran.json["ok"] is True
    found = _by_name(ran.json)
    assert found["metaparley"]["detail"] == metadata.version("metaparley")
    assert found["pydantic"] == {"name": "pydantic", "status": "ok", "detail": metadata.version("pydantic")}
    assert found["sandbox"]["status"] == "ok"
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {name for name in found if name.startswith("extra ")} == {f"extra {extra}" for extra in declared}
    assert {each["status"] for each in ran.json["findings"]} <= {"ok", "warn", "fail"}


@pytest.mark.usefixtures("quick")
def test_missing_weights_are_a_warning_with_the_words_that_fetch_them(negotiator: Any) -> None:
    found = _by_name(negotiator("doctor", "--json").json)["local model"]
    assert found["status"] == "warn"
    assert "python -m negotiator.models.weights" in found["detail"]


@pytest.mark.usefixtures("quick")
def test_a_missing_extra_is_a_warning_and_a_missing_dependency_a_failure(
    negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = metadata.version

    def absent(package: str) -> str:
        if package in ("diskcache", "orjson"):
            raise metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(metadata, "version", absent)
    ran = negotiator("doctor", "--json")
    found = _by_name(ran.json)
    assert ran.code == exits.FAILED
    assert found["orjson"]["status"] == "fail"
    assert found["extra disk"]["status"] == "warn"
    assert 'pip install "metaparley[disk]"' in found["extra disk"]["detail"]


@pytest.mark.usefixtures("quick")
def test_a_malicious_litellm_is_a_failure(negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.82.8" if name == "litellm" else version(name))
    ran = negotiator("doctor", "--json")
    assert ran.code == exits.FAILED
    assert _by_name(ran.json)["extra litellm"]["status"] == "fail"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("report", "status"),
    [
        (sandbox.Report("locked", None, {}, (), "no Linux"), "warn"),
        (sandbox.Report("locked", sandbox.Level.FULL, {}, (sandbox.Probe("file", held=False, detail=""),)), "fail"),
        (sandbox.Report("locked", sandbox.Level.NO_LANDLOCK, {}, ()), "warn"),
        (
            sandbox.Report("locked", sandbox.Level.NO_LANDLOCK, {}, (sandbox.Probe("fork", held=False, detail=""),)),
            "fail",
        ),
        (
            sandbox.Report("locked", sandbox.Level.NO_SECCOMP, {}, (sandbox.Probe("socket", held=False, detail=""),)),
            "warn",  # no stranger's code runs there
        ),
    ],
)
def test_the_sandbox_is_called_what_it_is(
    report: sandbox.Report, status: str, negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "self_test", lambda *_: report)
    ran = negotiator("doctor", "--json")
    assert _by_name(ran.json)["sandbox"]["status"] == status
    assert ran.code == (exits.FAILED if status == "fail" else exits.OK)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("level", "held", "status", "said"),
    [
        (sandbox.Level.FULL, True, "ok", "run in stated, at the level full"),
        (sandbox.Level.NO_LANDLOCK, True, "ok", "at the level no_landlock"),
        (sandbox.Level.MONTY, True, "warn", "1 of 1 probes held"),
        (sandbox.Level.MONTY, False, "fail", "got out: file"),
        (sandbox.Level.PROCESS_ONLY, True, "warn", "no code runs here: stated is at the level process_only"),
    ],
)
def test_one_line_says_what_runs_code_routines(
    level: sandbox.Level, held: bool, status: str, said: str, negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated: Any = SimpleNamespace(name="stated", level=level)
    monkeypatch.setattr(sandbox, "AtLeast", partial(sandbox.AtLeast, executor=stated))
    report = sandbox.Report("stated", level, {}, (sandbox.Probe("file", held=held, detail=""),))
    monkeypatch.setattr(doctor, "_sandbox", lambda: doctor.Finding("sandbox", "ok", ""))
    monkeypatch.setattr(sandbox, "self_test", lambda *_: report)
    found = _by_name(negotiator("doctor", "--json").json)["code routines"]
    assert found["status"] == status
    assert said in found["detail"]


@pytest.mark.usefixtures("quick")
def test_the_store_is_named_by_place_and_kind(negotiator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("diskcache")
    assert (
        str(tmp_path / "s")
        in _by_name(negotiator("doctor", "--json", "--state", tmp_path / "s").json)["store"]["detail"]
    )
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "diskcache" else find(name))
    store = _by_name(negotiator("doctor", "--json").json)["store"]
    assert (store["status"], "in memory" in store["detail"]) == ("warn", True)


@pytest.mark.usefixtures("quick")
def test_one_look_that_fails_hides_no_other(negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> sandbox.Report:
        raise OSError("the disk is on fire")

    monkeypatch.setattr(sandbox, "self_test", broken)
    found = _by_name(negotiator("doctor", "--json").json)
    assert found["sandbox"]["detail"] == "OSError: the disk is on fire"
    assert "environment" in found


@pytest.mark.usefixtures("quick")
def test_no_key_is_shown(negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret")
    ran = negotiator("doctor")
    assert "OPENAI_API_KEY" in ran.out
    assert "a-secret" not in ran.out + ran.err


def test_the_sandbox_is_really_tried() -> None:
    (found,) = (each for each in [doctor._guarded("sandbox", doctor._sandbox)])
    assert "probes held" in found.detail or found.status == "fail"
