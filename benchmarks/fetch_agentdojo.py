"""The cases of AgentDojo, from the package `agentdojo`: written to DIR/agentdojo/cases.json.

Its tasks are programs, so that its code has to run: in a process of its own, in an environment of its own that holds
what `agentdojo.txt` names, each file of which has its SHA-256 there. What comes of it is pinned too.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.data import DataMissing
from benchmarks.fetch import DataSet, Source
from negotiator.models.fetching import WeightsMissing, pip_command

NAME = "agentdojo==0.1.35"
_HERE = Path(__file__).parent
_SECONDS = 900
_NOTE = f"""\
AgentDojo, ETH Zurich and Invariant Labs, benchmark version v1.2.2, from the package {NAME} of the Python index
Licence: MIT (LICENSE). The cases were written out by benchmarks/agentdojo_export.py: of what tools answer, only what
holds a text that an attacker may write, with a canary in its place.
"""


def _all(source: Source) -> Mapping[str, bytes]:
    licence = source.read("agentdojo-0.1.35.dist-info/licenses/LICENSE")
    with tempfile.TemporaryDirectory(prefix="agentdojo-") as folder:
        source.at(f"pip brings what {NAME} needs")
        try:
            pip = pip_command()
        except WeightsMissing:
            raise DataMissing(f"pip or uv is needed to fetch {NAME}") from None
        options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--quiet", "--target", folder]
        _run([*pip, "install", *options, "--requirement", str(_HERE / "agentdojo.txt")], {})
        source.at("agentdojo: its cases are written out")
        # Without -S this environment's packages would be found beside its own; the order of its sets is its seed's.
        alone = {"PYTHONPATH": folder, "PYTHONHASHSEED": "0"}
        cases = _run([sys.executable, "-S", str(_HERE / "agentdojo_export.py")], alone)
    return {"cases.json": cases, "LICENSE": licence, "README.txt": _NOTE.encode()}


def _run(command: list[str], more: Mapping[str, str]) -> bytes:
    ran = subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C.UTF-8", **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=_SECONDS,
    )
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise DataMissing(f"the cases of {NAME} could not be had: {said[0][:300]}")
    return ran.stdout


AGENTDOJO = DataSet(
    name="agentdojo",
    title="AgentDojo v1.2.2, the cases of its four suites",
    home=f"pypi:{NAME}",
    commit="sha256-364bea4219716b716bf639f504d195943f7f6a5535d312ca41d7098704a2affd",
    licence="MIT",
    parts={"cases": _all},
    pinned={"cases.json": "f00ac1b7542bc77bd17fb5e35d53c083bc21bd2a6d950c9b7393c1bc5350081c"},
)
