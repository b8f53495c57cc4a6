"""`negotiator identity` on folders of the test, and what the doctor says of an agent."""

import stat
import sys
import types
from pathlib import Path
from typing import Any

import orjson
import pytest

from negotiator import Agent
from negotiator.cli import exits
from negotiator.identity import Authority, Identity, Pins, Revocations, TrustPolicy, read_document
from negotiator.state import open_state

URL = "https://weather.example/agent"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    pytest.importorskip("diskcache")
    open_state(tmp_path / "state")
    return tmp_path / "state"


def test_new_makes_an_identity_that_an_agent_can_be(tmp_path: Path, negotiator: Any) -> None:
    folder = tmp_path / "id"
    made = negotiator("identity", "new", URL, "--folder", folder, "--json").json
    assert made["did"].startswith("did:wba:weather.example:agent:e1_")
    assert made["document"] == f"{URL}/{made['did'].rpartition(':')[2]}/did.json"
    assert stat.S_IMODE((folder / "key-1.pem").stat().st_mode) == 0o600
    agent = Agent(state="memory", identity=folder)
    assert agent.identity is not None
    assert agent.identity.did == made["did"]


def test_it_lies_in_the_state_where_nothing_else_is_said(state: Path, negotiator: Any) -> None:
    made = negotiator("identity", "new", URL, "--state", state, "--method", "web", "--json").json
    assert made["did"] == "did:web:weather.example:agent"
    assert (state / "identity" / "identity.json").exists()


def test_new_overwrites_nothing(tmp_path: Path, negotiator: Any) -> None:
    negotiator("identity", "new", URL, "--folder", tmp_path / "id")
    assert negotiator("identity", "new", URL, "--folder", tmp_path / "id").code == exits.USAGE


def test_an_address_without_a_name_is_said_to_be_none(tmp_path: Path, negotiator: Any) -> None:
    ran = negotiator("identity", "new", "https://192.0.2.1", "--folder", tmp_path / "id")
    assert ran.code == exits.USAGE
    assert "needs a host that has a name" in ran.err


def test_show_prints_the_keys_and_no_secret(tmp_path: Path, negotiator: Any) -> None:
    folder = tmp_path / "id"
    did = negotiator("identity", "new", URL, "--folder", folder, "--json").json["did"]
    secret = (folder / "key-1.pem").read_text().splitlines()[1]
    for words in ((), ("--json",), ("--document",)):
        ran = negotiator("identity", "show", "--folder", folder, *words)
        assert ran.code == exits.OK
        assert did in ran.out
        assert secret not in ran.out


def test_the_document_that_show_prints_holds(tmp_path: Path, negotiator: Any) -> None:
    did = negotiator("identity", "new", URL, "--folder", tmp_path / "id", "--json").json["did"]
    document = negotiator("identity", "show", "--document", "--folder", tmp_path / "id", "--json").json
    assert read_document(orjson.dumps(document), did).authentication == {f"{did}#key-1"}


def test_rotate_and_revoke_change_what_is_in_force(tmp_path: Path, negotiator: Any) -> None:
    folder = tmp_path / "id"
    negotiator("identity", "new", URL, "--folder", folder, "--method", "web")
    running = Identity.open(folder)
    assert running.key_id.endswith("#key-1")
    assert negotiator("identity", "rotate", "--folder", folder).code == exits.OK
    assert running.key_id.endswith("#key-2")
    assert negotiator("identity", "revoke", "key-1", "--folder", folder).code == exits.OK
    assert not (folder / "key-1.pem").exists()


def test_a_did_of_others_is_revoked_for_agents_that_run(state: Path, negotiator: Any) -> None:
    running = Revocations(open_state(state).text)
    assert running.stands("did:web:a.example", "did:web:a.example#key-1")
    assert negotiator("identity", "revoke", "did:web:a.example", "--state", state).code == exits.OK
    assert not running.stands("did:web:a.example", "did:web:a.example#key-1")


@pytest.mark.parametrize(
    "name",
    ["did:web:a.example", "did:web:a.example#key-1", "oauth:https://login.example#alice", "https://login.example"],
)
def test_what_was_revoked_of_others_can_be_taken_back(state: Path, negotiator: Any, name: str) -> None:
    running = Revocations(open_state(state).text)
    assert negotiator("identity", "revoke", name, "--undo", "--state", state).code == exits.USAGE
    assert negotiator("identity", "revoke", name, "--state", state).code == exits.OK
    assert running.all() == {name}
    assert negotiator("identity", "revoke", name, "--undo", "--state", state).code == exits.OK
    assert running.all() == frozenset()


def test_a_key_of_ours_that_was_revoked_is_gone(tmp_path: Path, negotiator: Any) -> None:
    assert negotiator("identity", "revoke", "key-1", "--undo", "--folder", tmp_path).code == exits.USAGE


def test_approving_what_did_not_change_is_said_to_be_nothing(state: Path, negotiator: Any) -> None:
    assert negotiator("identity", "approve", "did:web:a.example", "--state", state).code == exits.USAGE
    assert Pins(open_state(state).text).changed() == []


@pytest.mark.parametrize("did", ["did:key:z6Mk", "did:web:127.0.0.1", "nobody"])
def test_verify_refuses_what_is_no_did(state: Path, negotiator: Any, did: str) -> None:
    assert negotiator("identity", "verify", did, "--state", state).code == exits.FAILED


def test_verify_connects_to_no_address_that_was_not_allowed(state: Path, negotiator: Any) -> None:
    ran = negotiator("identity", "verify", "did:web:localhost%3A1", "--state", state)
    assert ran.code == exits.FAILED
    assert "did:web:localhost" in ran.err


def test_the_doctor_says_who_an_agent_is_and_each_line_that_widens_what_callers_may(
    tmp_path: Path, negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = Authority().allowing("anonymous", tools="book", effects="transactional", tiers="routine")
    module = types.ModuleType("agents_of_a_test")
    identity = Identity.in_memory(URL)
    module.narrow = Agent(state="memory")  # type: ignore[attr-defined]
    module.wide = Agent(state="memory", identity=identity, authority=wider)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "agents_of_a_test", module)
    found = negotiator("doctor", "agents_of_a_test:wide", "--state", tmp_path, "--json").json["findings"]
    assert {"name": "identity", "status": "ok", "detail": identity.did} in found
    said = "wider by one line: anonymous: book (transactional; routine)"
    assert {"name": "authority", "status": "warn", "detail": said} in found
    found = negotiator("doctor", "agents_of_a_test:narrow", "--state", tmp_path, "--json").json["findings"]
    assert [each["status"] for each in found if each["name"] == "authority"] == ["ok"]


def _said_of(agent: Agent, tmp_path: Path, negotiator: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Detail -> status, of all that the doctor says of who is heard and what they may."""
    module = types.ModuleType("agents_of_a_test")
    module.agent = agent  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "agents_of_a_test", module)
    found = negotiator("doctor", "agents_of_a_test:agent", "--state", tmp_path, "--json").json["findings"]
    return {each["detail"]: each["status"] for each in found if each["name"] in ("trust", "authority")}


def test_the_doctor_says_whom_an_agent_hears_and_whom_no_more(
    tmp_path: Path, negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _said_of(Agent(state="memory"), tmp_path, negotiator, monkeypatch)
    assert said == {
        "hears anyone": "ok",
        "callers who prove nothing reach public tools, others every tool": "ok",
    }
    trust = TrustPolicy(callers="listed", listed=("did:wba:partner.example:*",), legacy_header=True)
    agent = Agent(state="memory", trust=trust)
    Revocations(agent.engine.text).revoke("did:web:a.example")
    said = _said_of(agent, tmp_path, negotiator, monkeypatch)
    assert said["hears only did:wba:partner.example:*"] == "ok"
    assert said["reads the header DIDWba, which does not cover a request's body"] == "warn"
    assert said["hears no more: did:web:a.example"] == "ok"
    proved = Agent(state="memory", trust=TrustPolicy(callers="authenticated"))
    assert "hears callers who prove who they are" in _said_of(proved, tmp_path, negotiator, monkeypatch)


def test_the_doctor_warns_of_what_those_may_who_prove_nothing(
    tmp_path: Path, negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Authority().allowing("anonymous", tools="book", effects="transactional")
    wide = wide.allowing("anonymous", tools="list", paid_model=True).allowing("did:web:a.example").asking("book", "b")
    agent = Agent(state="memory", authority=wide, relay=True)

    @agent.tool(public=True)
    def book(room: str) -> str:
        """Book a room."""
        return room

    said = _said_of(agent, tmp_path, negotiator, monkeypatch)
    line = "wider by one line: anonymous: book (transactional; natural_language, structured, routine)"
    assert said[f"{line}; what they write may move something"] == "warn"
    assert [status for detail, status in said.items() if "on a paid model" in detail] == ["warn"]
    assert [status for detail, status in said.items() if "did:web:a.example" in detail] == ["ok"]
    assert said["book is transactional, and public"] == "warn"
    assert said["book asks tokens for b"] == "ok"
    assert [status for detail, status in said.items() if "relay" in detail] == ["warn"]
    narrow = _said_of(Agent(state="memory", authority=Authority(())), tmp_path, negotiator, monkeypatch)
    assert "begins without some of the lines that every agent has: see the others here" in narrow
