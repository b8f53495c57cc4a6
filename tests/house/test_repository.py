"""Nothing in the repository depends on the machine it was written on."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# In pieces, so that this file does not hold what it looks for.
HOME_FOLDERS = re.compile(
    r"(?<![\w.:/-])/(?:" + "|".join(["ro" + "ot", "wo" + "rk", "ho" + "me", "Us" + "ers"]) + r")/\w"
)
REGISTRY_HOSTS = re.compile(
    "|".join(
        ["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.org", "npm" + r"js\.com", "deb" + r"\.debian"]
    )
)


def _texts() -> list[tuple[Path, str]]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    if listed.returncode != 0:
        pytest.skip("not a checkout: nothing says which files are the repository's")
    names = [name for name in listed.stdout.decode("utf-8").split("\0") if name and name != "uv.lock"]
    read = ((ROOT / name, (ROOT / name).read_bytes()) for name in names if (ROOT / name).is_file())
    return [(path, data.decode("utf-8", "replace")) for path, data in read if b"\0" not in data]


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path, text in _texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    assert _lines_with(HOME_FOLDERS) == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert _lines_with(REGISTRY_HOSTS) == []


def test_no_file_names_the_folder_that_this_checkout_stands_in() -> None:
    if len(ROOT.parents) < 3:
        pytest.skip("the checkout stands too near the root for its path to be telling")
    assert _lines_with(re.compile(re.escape(f"{ROOT.parent}/"))) == []


LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_check_that_a_contributor_is_told_to_run_is_there() -> None:
    named = set(re.findall(r"`(check_\w+)\(\)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    packages = ["negotiator", "protocol_docs", "sandbox"]
    code = "\n".join(p.read_text(encoding="utf-8") for name in packages for p in (ROOT / name).rglob("*.py"))
    assert named - set(re.findall(r"^(?:async )?def (check_\w+)\(", code, re.MULTILINE)) == set()
