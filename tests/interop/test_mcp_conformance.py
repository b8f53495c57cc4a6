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
BOTH = (
    "tools_call",
    "json-schema-2020-12-preservation",
    "auth/metadata-default",
    "auth/metadata-var1",
    "auth/metadata-var2",
    "auth/metadata-var3",
    "auth/basic-cimd",
    "auth/scope-from-www-authenticate",
    "auth/scope-from-scopes-supported",
    "auth/scope-omitted-when-undefined",
    "auth/scope-step-up",
    "auth/scope-retry-limit",
    "auth/token-endpoint-auth-basic",
    "auth/token-endpoint-auth-post",
    "auth/token-endpoint-auth-none",
    "auth/pre-registration",
)
CLIENT: dict[str, tuple[str, ...]] = {
    "2025-11-25": (*BOTH, "initialize", "elicitation-sep1034-client-defaults", "sse-retry"),
    "2026-07-28": (
        *BOTH,
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "auth/resource-mismatch",
        "auth/offline-access-scope",
        "auth/offline-access-not-supported",
        "auth/authorization-server-migration",
        "auth/iss-supported",
        "auth/iss-not-advertised",
        "auth/iss-supported-missing",
        "auth/iss-wrong-issuer",
        "auth/iss-unexpected",
        "auth/iss-normalized",
        "auth/metadata-issuer-mismatch",
    ),
}
"""All that the suite has for clients, by revision; one test sees to it that none is missing."""
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
SCENARIO = re.compile(r"^  - (\S+) \[(\S+)\]$", re.MULTILINE)


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
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


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


@pytest.mark.parametrize(
    ("revision", "scenario"),
    [*((revision, each) for revision, scenarios in CLIENT.items() for each in scenarios), *BESIDE],
)
def test_an_agent_of_ours_is_a_client_as_the_specification_has_it(
    suite: list[str], tmp_path: Path, revision: str | None, scenario: str
) -> None:
    command = f"{sys.executable} {HERE / 'mcp_conformance_client.py'}"
    options = ["--scenario", scenario, "--timeout", "100000"]
    options += [] if revision is None else ["--spec-version", revision]
    done = ran([*suite, "client", "--command", command, *options], tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert " 0 failed, 0 warnings" in done.stderr


def test_no_scenario_for_clients_is_left_out(suite: list[str]) -> None:
    listed = subprocess.run([*suite, "list"], capture_output=True, text=True, check=True, timeout=60).stdout
    clients = listed.partition("Client scenarios")[2].partition("Authorization server scenarios")[0]
    known = {name: revisions.split(",") for name, revisions in SCENARIO.findall(clients)}
    for revision in REVISIONS:
        assert {name for name, revisions in known.items() if revision in revisions} == set(CLIENT[revision])
