"""MCP's own conformance suite against an agent of ours, as server and as client, in the newest revision of each era.

The scenarios of what an agent does not offer as a server stand in `mcp-not-offered-<revision>.yml`, each with its
reason; the suite fails where one that is not listed there does, and where one that is listed passes. As a client it
passes all.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.mcp_fixture import served

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / ".peers" / "mcp-conformance"
PACKAGES = ("@modelcontextprotocol/conformance@0.2.0-alpha.12", "node@22.23.3")
REVISIONS = ("2025-11-25", "2026-07-28")
CLIENT = {"2025-11-25": 19, "2026-07-28": 33}
"""How many scenarios the suite has for clients, by revision."""
BESIDE = (
    ("2025-03-26", "auth/2025-03-26-oauth-metadata-backcompat"),
    ("2025-03-26", "auth/2025-03-26-oauth-endpoint-fallback"),
    (None, "auth/client-credentials-jwt"),
    (None, "auth/client-credentials-basic"),
)
"""What else is spoken: a revision before, and an extension (None)."""
IN_PART = {
    "caching": {"sep-2549-prompts-list-caching-hints"},
    "server-stateless": {"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400"},
}
"""Of scenarios that are passed but for something that is not offered: what they miss, and nothing else."""
PASSED = re.compile(r"^✓ \S+: [1-9]\d* passed, 0 failed$", re.MULTILINE)
OURS = f"{sys.executable} {HERE / 'mcp_conformance_client.py'}"


@pytest.fixture(scope="module")
def suite() -> list[str]:
    """The suite's command, which needs Node 22; both are installed on first use."""
    node = FOLDER / "node_modules" / "node" / "bin" / "node"
    program = FOLDER / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    if not (node.exists() and program.exists()):
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("the conformance suite is installed with npm, which is not here")
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "package.json").write_text("{}")
        installing = [npm, "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", *PACKAGES]
        subprocess.run(installing, cwd=FOLDER, check=True, capture_output=True, timeout=600)
    return [str(node), str(program)]


def ran(command: list[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    command = [*command, "-o", str(tmp_path / "out")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_agent_of_ours_is_a_server_as_the_specification_has_it(
    suite: list[str], serve: Callable[..., str], tmp_path: Path, revision: str
) -> None:
    url = serve(served) + "/mcp"
    known = str(HERE / f"mcp-not-offered-{revision}.yml")
    options = ["--suite", "all", "--spec-version", revision, "--expected-failures", known]
    done = ran([*suite, "server", "--url", url, *options], tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    for scenario, missed in IN_PART.items():
        found = {
            check["id"]
            for report in (tmp_path / "out").glob(f"server-{scenario}-*/checks.json")
            for check in json.loads(report.read_text())
            if check["status"] in ("FAILURE", "WARNING")
        }
        assert found == (missed if revision == "2026-07-28" else set())


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_agent_of_ours_is_a_client_as_the_specification_has_it(
    suite: list[str], tmp_path: Path, revision: str
) -> None:
    done = ran([*suite, "client", "--command", OURS, "--suite", "all", *_at(revision)], tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    assert len(PASSED.findall(done.stdout)) == CLIENT[revision]
    assert " 0 failed, 0 warnings" in done.stdout.partition("Total:")[2]


@pytest.mark.parametrize(("revision", "scenario"), BESIDE)
def test_an_agent_of_ours_speaks_to_servers_of_before_and_as_itself(
    suite: list[str], tmp_path: Path, revision: str | None, scenario: str
) -> None:
    done = ran([*suite, "client", "--command", OURS, "--scenario", scenario, *_at(revision)], tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert " 0 failed, 0 warnings" in done.stderr


def _at(revision: str | None) -> list[str]:
    patience = ["--timeout", "200000"]
    return patience if revision is None else [*patience, "--spec-version", revision]
