"""Fails where a release that is known to be malicious is pinned or installed, or a file would run by itself.

`python scripts/check_supply_chain.py` reads uv.lock and this environment's site-packages; it imports nothing
from there. A `.pth` file, `sitecustomize.py` or `usercustomize.py` runs at every start of Python, which is how
one of those releases spread; each that is here must be known.
"""

import hashlib
import re
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

MALICIOUS = {"litellm": frozenset({"1.82.7", "1.82.8", "1.107.0"})}
"""Package -> its malicious releases (MAL-2026-2144; the vendor's announcement of 21 October 2026)."""

REMAINS = ("litellm_init.pth", "cook.pth", "cook.py", "sitecustomize.py", "usercustomize.py")
"""What those releases left behind in site-packages."""

KNOWN_PTH = {
    # setuptools' own; one line that installs its copy of distutils.
    "distutils-precedence.pth": frozenset({"2638ce9e2500e572a5e0de7faed6661eb569d1b696fcba07b0dd223da5f5d224"}),
}
"""Files that run code and may: name -> SHA-256 of each content seen."""


def in_lock(lock: Path) -> Iterator[str]:
    """What is wrong with the pins of a uv.lock."""
    locked = tomllib.loads(lock.read_text(encoding="utf-8"))
    for package in locked.get("package", []):
        name, version = package["name"], package.get("version", "")
        if version in MALICIOUS.get(name, ()):
            yield f"{lock.name} pins {name} {version}, a malicious release"
        if "registry" in package.get("source", {}):
            files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
            if not files or not all(file.get("hash", "").startswith("sha256:") for file in files):
                yield f"{lock.name} pins {name} {version} without a hash"


def in_site_packages(folder: Path) -> Iterator[str]:
    """What is wrong with the packages installed in `folder`."""
    for file in sorted(folder.iterdir()):
        if file.name in REMAINS:
            yield f"{file} runs at every start and is of a malicious release, or unknown"
        elif file.suffix == ".pth":
            yield from _in_pth(file)
        elif file.suffix == ".dist-info":
            name, _, version = file.stem.rpartition("-")
            if version in MALICIOUS.get(re.sub(r"[-_.]+", "-", name).lower(), ()):
                yield f"{name} {version} is installed, a malicious release: remove it and change every key it could read"


def _in_pth(file: Path) -> Iterator[str]:
    content = file.read_bytes()
    lines = content.decode("utf-8", "replace").splitlines()
    # Python executes a line that begins so; any other line only names a folder.
    if not any(line.startswith(("import ", "import\t")) for line in lines):
        return
    digest = hashlib.sha256(content).hexdigest()
    if digest not in KNOWN_PTH.get(file.name, ()):
        yield f"{file} runs code at every start and is unknown (SHA-256 {digest})"


def main() -> int:
    """Print what is wrong; 1 where something is."""
    lock = Path(__file__).parents[1] / "uv.lock"
    folders = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    wrong = [*in_lock(lock), *(line for folder in sorted(folders) for line in in_site_packages(folder))]
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
