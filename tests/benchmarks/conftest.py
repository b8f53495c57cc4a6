"""A small home of Schema-Guided Dialogue: the same files as the public one has, in a repository on this machine."""

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fetch import DataSet
from benchmarks.fetch_sgd import SGD

SPLITS = ("train", "dev", "test")


def call(place: str, rows: list[str], *, service: str = "Weather_1") -> dict[str, Any]:
    """A frame in which a service is called, as the dialogues have it."""
    return {
        "service": service,
        "service_call": {"method": "GetWeather", "parameters": {"city": place}},
        "service_results": [{"city": place, "sky": sky} for sky in rows],
    }


def dialogues(*frames: dict[str, Any]) -> list[dict[str, Any]]:
    silent = {"speaker": "USER", "frames": [{"service": "Weather_1", "state": {}}]}
    return [{"dialogue_id": "1", "turns": [silent, {"speaker": "SYSTEM", "frames": list(frames)}]}]


def schema(suffix: str) -> list[dict[str, Any]]:
    slots = [
        {"name": name + suffix, "description": f"The {name}", "is_categorical": False, "possible_values": []}
        for name in ("city", "sky")
    ]
    intent = {
        "name": "GetWeather" + suffix,
        "description": "Tell the weather of a city",
        "is_transactional": False,
        "required_slots": ["city" + suffix],
        "optional_slots": {},
        "result_slots": ["city" + suffix, "sky" + suffix],
    }
    return [{"service_name": "Weather_1", "description": "Weather", "slots": slots, "intents": [intent]}]


def published() -> dict[str, Any]:
    """Path -> JSON content (text for LICENSE.txt), as the home has it."""
    files: dict[str, Any] = {"LICENSE.txt": "the licence\n"}
    for split in SPLITS:
        files[f"{split}/schema.json"] = schema("")
        for variant in range(1, 6):
            files[f"sgd_x/data/v{variant}/{split}/schema.json"] = schema(f"_{variant}")
        files[f"{split}/dialogues_001.json"] = dialogues(call("Rome", ["sun"]), call("Oslo", ["snow", "fog"]))
        files[f"{split}/dialogues_002.json"] = dialogues(call("Rome", ["rain"]), call("Lima", []))
    return files


def _git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=somebody", "-c", "user.email=somebody@localhost", "-c", "commit.gpgsign=false"]
    ran = subprocess.run(["git", *names, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.fixture
def home(tmp_path: Path) -> Callable[..., DataSet]:
    """Makes the data set with its home in a repository here: `home({path: content})` over what is published."""
    if shutil.which("git") is None:
        pytest.skip("no git")

    def made(changed: dict[str, Any] | None = None) -> DataSet:
        folder = tmp_path / "home"
        folder.mkdir(exist_ok=True)
        for path, content in (published() | (changed or {})).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        _git(folder, "init", "--quiet", "--object-format=sha1", ".")
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", "--message=published")
        return dataclasses.replace(SGD, home=folder.as_uri(), commit=_git(folder, "rev-parse", "HEAD"), pinned={})

    return made
