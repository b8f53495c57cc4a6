"""The check of what is pinned and installed finds what it is there to find."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from negotiator.models.litellm_provider import MALICIOUS_RELEASES

ROOT = Path(__file__).parents[3]
LOCKED = """\
version = 1

[[package]]
name = "litellm"
version = "{version}"
source = {{ registry = "https://index.example/simple" }}
sdist = {{ url = "https://index.example/litellm.tar.gz", hash = "{hash}" }}

[[package]]
name = "ours"
version = "1"
source = {{ editable = "." }}
"""


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_supply_chain", ROOT / "scripts" / "check_supply_chain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_this_lock_and_this_environment_are_clean() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_supply_chain.py")], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("version", "digest", "wrong"),
    [
        ("1.106.2", "sha256:00", ""),
        ("1.82.7", "sha256:00", "malicious"),
        ("1.82.8", "sha256:00", "malicious"),
        ("1.107.0", "sha256:00", "malicious"),
        ("1.106.2", "", "without a hash"),
    ],
)
def test_a_pin_is_of_no_malicious_release_and_has_a_hash(
    check: ModuleType, tmp_path: Path, version: str, digest: str, wrong: str
) -> None:
    lock = tmp_path / "uv.lock"
    lock.write_text(LOCKED.format(version=version, hash=digest))
    found = list(check.in_lock(lock))
    assert len(found) == bool(wrong)
    assert wrong in "".join(found)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("ours.pth", "/somewhere/else\n", False),
        ("litellm_init.pth", "import os", True),
        ("new.pth", "# a remark\nimport os; os.getcwd()\n", True),
        ("new.pth", "import\tos", True),
        ("distutils-precedence.pth", "import os; os.getcwd()", True),
        ("cook.py", "", True),
        ("sitecustomize.py", "", True),
        ("cookbook.py", "", False),
    ],
)
def test_a_file_that_runs_by_itself_must_be_known(
    check: ModuleType,
    tmp_path: Path,
    name: str,
    content: str,
    found: bool,
) -> None:
    (tmp_path / name).write_text(content)
    assert bool(list(check.in_site_packages(tmp_path))) is found


@pytest.mark.parametrize(("version", "found"), [("1.107.0", True), ("1.106.2", False)])
def test_a_malicious_release_that_is_installed_is_found(
    check: ModuleType,
    tmp_path: Path,
    version: str,
    found: bool,
) -> None:
    (tmp_path / f"litellm-{version}.dist-info").mkdir()
    assert bool(list(check.in_site_packages(tmp_path))) is found


def test_the_package_refuses_the_same_releases(check: ModuleType) -> None:
    assert check.MALICIOUS["litellm"] == MALICIOUS_RELEASES
