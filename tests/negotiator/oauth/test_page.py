"""What the page shows works as it stands."""

import re
from pathlib import Path

import pytest

from negotiator import Agent

pytest.importorskip("jwt", reason="needs the extra oauth")

PAGE = (Path(__file__).parents[3] / "docs" / "oauth.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_what_the_page_shows_can_be_run(block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEGOTIATOR_STATE", str(tmp_path))
    names: dict[str, object] = {}
    exec("from negotiator import Agent\n" + block, names)  # noqa: S102 - a page of ours
    agent = names["agent"]
    assert isinstance(agent, Agent)
    agent.close()
