"""Find the interpreters of this machine.

python scripts/pythons.py 3.13     print the path of a Python 3.13, or exit with 1
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def find_pythons(versions: Iterable[str]) -> dict[str, Path]:
    """The interpreters that start, by version such as `3.13`: those that pyenv keeps, then those on the path.

    A name on the path proves nothing: pyenv's shims answer for versions that are not chosen.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {}
    for version in versions:
        named = shutil.which(f"python{version}")
        for candidate in [*sorted(pyenv.glob(f"{version}.*/bin/python")), *([Path(named)] if named else [])]:
            says = subprocess.run([candidate, "-c", _VERSION], capture_output=True, text=True, check=False)
            if says.stdout.strip() == version:
                found[version] = candidate
                break
    return found


if __name__ == "__main__":
    wanted = sys.argv[1]
    path = find_pythons([wanted]).get(wanted)
    if path is None:
        sys.exit(f"there is no Python {wanted} on this machine")
    print(path)
