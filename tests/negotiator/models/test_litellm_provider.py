"""litellm, against a scripted endpoint on loopback, with each thing it does on its own shown to be off.

It runs in a process of its own: importing it takes seconds, and it leaves threads and settings behind.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from negotiator.errors import UsageError
from negotiator.models import open_model
from negotiator.models.litellm_provider import MALICIOUS_RELEASES, LiteLLMModel

SCRIPT = """
import asyncio, json, os, socket, sys

from negotiator.clock import Deadline, SystemClock
from negotiator.models import Message, open_model
from negotiator.models.litellm_provider import LiteLLMModel
from tests.negotiator.models.loopback import Play, endpoint, refused, said

CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
looked_up = []
real = socket.getaddrinfo

def getaddrinfo(host, *more, **named):
    if host not in ("127.0.0.1", "localhost"):
        looked_up.append(str(host))
        raise socket.gaierror("no network")
    return real(host, *more, **named)

socket.getaddrinfo = getaddrinfo
slept = []

async def sleep(seconds):
    slept.append(seconds)

async def ask(model, seconds=120, **more):
    try:
        said = await model.complete(
            [Message("user", "Hello.")], purpose="x", deadline=Deadline.after(seconds, SystemClock()), **more)
    except Exception as problem:
        return [type(problem).__name__, str(problem)]
    return [said.text, said.refusal, said.truncated, said.usage.prompt_tokens, said.usage.completion_tokens, said.usage.usd]

async def main():
    no = refused("Unsupported parameter: response_format")
    plays = {
        "plain": [said("one")],
        "again": [said("two")],
        "retried": [refused("slow", 429, {"retry-after": "3"}), said("three")],
        "schema": [said("{}")],
        "in words": [no, no, said("{}")],
        "no answer": [Play({"choices": []})] * 3,
        "no JSON": [Play(b"<html>")] * 3,
        "cut off": [said("x", finish="length")],
        "wrong key": [refused("bad key: k-secret", 401)],
        "refusal": [said(None, message={"refusal": "I would rather not."})],
        "bad request": [refused("the context is too long")],
        "hang": [Play(hang=True)],
    }
    async with endpoint(*[play for each in plays.values() for play in each]) as served:
        model = LiteLLMModel("openai/small", base_url=served.url, api_key="k-secret", sleep=sleep, random=lambda: 0.5)
        told = {}
        for name in plays:
            before = len(served.requests)
            schema = CLOSED if name in ("schema", "in words") else None
            told[name] = await ask(model, 1 if name == "hang" else 120, schema=schema)
            told[name].append(len(served.requests) - before)
            if name == "plain":
                import litellm
                # Somebody else in the program switches the cache on for all.
                litellm.cache = litellm.Cache(type="local")
            if name == "no answer":
                model._retrying._failed_calls = 0
        await model.aclose()
        listed = LiteLLMModel("openai/gpt-4o-mini", base_url=served.url, api_key="k")
        served.plays.append(said("priced"))
        told["priced"] = await ask(listed)
        told["unknown"] = await ask(open_model("litellm/nowhere/nothing"))
    print(json.dumps({
        "told": told, "slept": slept, "looked_up": looked_up, "dotenv": os.environ.get("FROM_DOTENV"),
        "formats": [request.get("response_format", {}).get("json_schema", {}).get("strict") for request in served.requests],
        "tools": any("tools" in request for request in served.requests),
    }))

asyncio.run(main())
"""


def test_litellm_is_a_model_and_does_nothing_on_its_own(tmp_path: Path) -> None:
    if importlib.util.find_spec("litellm") is None:
        pytest.skip("the extra litellm is not installed")
    (tmp_path / ".env").write_text("FROM_DOTENV=yes\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    ran = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 1, "nothing but our line is printed"
    found = json.loads(ran.stdout)
    told = found["told"]
    assert told["plain"] == ["one", None, False, 11, 7, None, 1]
    assert told["again"] == ["two", None, False, 11, 7, None, 1], "its cache answered"
    assert told["retried"] == ["three", None, False, 11, 7, None, 2]
    assert found["slept"][0] == 3
    assert told["schema"][0] == "{}"
    assert told["in words"][0] == "{}"
    assert [told["schema"][-1], told["in words"][-1]] == [1, 3]
    assert found["formats"][4:8] == [True, True, False, None]
    assert [told["no answer"][0], told["no answer"][-1]] == ["ModelUnavailable", 3]
    assert [told["no JSON"][0], told["no JSON"][-1]] == ["ModelUnavailable", 3]
    assert told["cut off"][2] is True
    assert told["wrong key"][0] == "ModelUnavailable"
    assert "secret" not in told["wrong key"][1]
    assert told["wrong key"][-1] == 1
    assert told["refusal"][:2] == ["", "I would rather not."]
    assert [told["bad request"][0], told["bad request"][-1]] == ["ModelUnavailable", 1]
    assert [told["hang"][0], told["hang"][-1]] == ["DeadlinePassed", 1]
    assert told["priced"][5] == pytest.approx((11 * 0.15 + 7 * 0.6) / 1e6)
    assert told["unknown"][0] == "ModelUnavailable"
    assert found["looked_up"] == []
    assert found["dotenv"] is None
    assert found["tools"] is False


@pytest.mark.parametrize("release", sorted(MALICIOUS_RELEASES))
def test_a_malicious_release_is_never_imported(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: release)
    with pytest.raises(UsageError, match="malicious"):
        LiteLLMModel("openai/small")


def test_it_is_named_as_litellm_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "1.106.2")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert open_model("litellm/anthropic/claude-sonnet-4-5").name == "litellm/anthropic/claude-sonnet-4-5"
