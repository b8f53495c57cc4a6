"""An agent of ours, as a2a-sdk's own clients and other people's checks of A2A find it, over real HTTP."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest

from negotiator import Agent
from negotiator.models.scripted import ScriptedModel

pytestmark = pytest.mark.interop

LARGE = 9_007_199_254_740_993
URI = "https://w3id.org/metaparley/protocol-documents/v1"


def chooses(messages, _schema):
    asked = messages[1].content.split("<<<begin data")[-1]
    return {"tool": "double" if "number" in asked else "greet"}


def reads(messages, _schema):
    said = messages[1].content.split("<<<begin data")[-1]
    if "number" not in said:
        return {"answer": {}}
    digits = [word.strip(".,?") for word in said.split() if word.strip(".,?").isdigit()]
    return {"answer": {"number": int(digits[-1])}} if digits else {"no_answer": "which number to double"}


@pytest.fixture
def agent(serve_app):
    ours = Agent(
        ScriptedModel({"choose_tool": chooses, "read_request": reads}), name="doubler", publish="all", state="memory"
    )
    ours.called = []

    @ours.tool(effect="safe")
    async def double(number: int) -> dict[str, int]:
        """Double a number."""
        ours.called.append(number)
        return {"number": number, "twice": 2 * number}

    @ours.tool(effect="safe")
    async def greet() -> str:
        """Greet whoever says anything."""
        return "Hello."

    ours.slow = asyncio.Event()

    @ours.tool(effect="safe")
    async def wait(seconds: int) -> str:
        """Wait for nothing in particular."""
        await ours.slow.wait()
        return "done"

    ours.url = serve_app(ours.asgi(), ours).url
    return ours


def data_of(peer, number, **more):
    part = {"data": {"number": number}}
    if peer.version == "0.3.26":
        part["kind"] = "data"
    return {"parts": [part], "metadata": {"skillId": "double"}, **more}


def words_of(peer, text, **more):
    return {"parts": [{"text": text, "kind": "text"} if peer.version == "0.3.26" else {"text": text}], **more}


def message_in(peer, told):
    event = told["events"][-1]
    return event if peer.version == "0.3.26" else event["message"]


def state_of(peer, task):
    return task["status"]["state"].removeprefix("TASK_STATE_").lower().replace("_", "-")


def task_in(peer, told):
    event = told["events"][-1]
    return event if peer.version == "0.3.26" else event["task"]


@pytest.mark.parametrize("given", [21, str(LARGE)])
def test_a_data_part_calls_the_tool_and_large_integers_stay_themselves(a2a_peer, agent, given) -> None:
    told = a2a_peer.tell("send", base=agent.url, **data_of(a2a_peer, given))
    data = message_in(a2a_peer, told)["parts"][0]["data"]
    assert int(data["number"]) == int(given)
    assert int(data["twice"]) == 2 * int(given)
    assert agent.called == [int(given)]
    assert [type(number) for number in agent.called] == [int]


@pytest.mark.parametrize("streaming", [False, True])
def test_words_are_answered_in_words(a2a_peer, agent, streaming) -> None:
    told = a2a_peer.tell("send", base=agent.url, streaming=streaming, **words_of(a2a_peer, "Double the number 21"))
    assert "42" in json.dumps(told["events"])
    assert "completed" in json.dumps(told["events"][-1]).lower()
    if streaming:
        assert len(told["events"]) == 3  # the task, its artifact, its end


def test_a_question_back_is_answered_in_the_same_task(a2a_peer, agent) -> None:
    first = task_in(a2a_peer, a2a_peer.tell("send", base=agent.url, **words_of(a2a_peer, "Double a number for me")))
    assert state_of(a2a_peer, first) == "input-required"
    assert "which number" in json.dumps(first["status"]["message"])
    more = words_of(a2a_peer, "Well, 21", task=first["id"], context=first["contextId"])
    second = task_in(a2a_peer, a2a_peer.tell("send", base=agent.url, **more))
    assert (second["id"], state_of(a2a_peer, second)) == (first["id"], "completed")
    assert "42" in json.dumps(second["artifacts"])
    got = a2a_peer.tell("get", base=agent.url, task=first["id"])["result"]
    assert state_of(a2a_peer, got) == "completed"
    assert len(got["history"]) == 3


def test_a_message_that_comes_again_gets_the_same_task(a2a_peer, agent) -> None:
    again = words_of(a2a_peer, "Double the number 4", id=f"the-first-message-{a2a_peer.version}")
    first, second = (task_in(a2a_peer, a2a_peer.tell("send", base=agent.url, **again)) for _ in range(2))
    assert first["id"] == second["id"]
    assert agent.called == [4]
    other = a2a_peer.tell(
        "send", base=agent.url, **words_of(a2a_peer, "Double the number 5", id=f"the-first-message-{a2a_peer.version}")
    )
    assert "used for another message" in other["error"]


def test_what_is_not_there_or_ended_is_said_so(a2a_peer, agent) -> None:
    done = task_in(a2a_peer, a2a_peer.tell("send", base=agent.url, **words_of(a2a_peer, "Double the number 4")))
    assert "not found" in a2a_peer.tell("get", base=agent.url, task="nowhere")["error"].lower()
    assert "completed" in a2a_peer.tell("cancel", base=agent.url, task=done["id"])["error"]
    late = words_of(a2a_peer, "And 5", task=done["id"], context=done["contextId"])
    assert "completed" in a2a_peer.tell("send", base=agent.url, **late)["error"]


def test_a_task_under_way_is_followed_and_ended(a2a_1_3, agent) -> None:
    given = {"parts": [{"data": {"seconds": 1}}], "metadata": {"skillId": "wait"}, "immediately": True}
    task = a2a_1_3.tell("send", base=agent.url, **given)["events"][0]["task"]
    assert state_of(a2a_1_3, task) == "working"
    listed = a2a_1_3.tell("list", base=agent.url, context=task["contextId"])["result"]
    assert [each["id"] for each in listed["tasks"]] == [task["id"]]
    canceled = a2a_1_3.tell("cancel", base=agent.url, task=task["id"])["result"]
    assert state_of(a2a_1_3, canceled) == "canceled"
    assert "error" in a2a_1_3.tell("subscribe", base=agent.url, task=task["id"])


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
def test_both_bindings_serve_all_operations(a2a_1_3, agent, binding) -> None:
    def tell(do, **order):
        return a2a_1_3.tell(do, base=agent.url, binding=binding, **order)

    said = tell("send", **data_of(a2a_1_3, 3), extensions=[URI])
    assert said["events"][0]["message"]["extensions"] == [URI]
    assert said["events"][0]["message"]["metadata"] == {f"{URI}/tier": "routine"}
    task = tell("send", **words_of(a2a_1_3, "Double a number for me"))["events"][0]["task"]
    assert state_of(a2a_1_3, tell("get", task=task["id"])["result"]) == "input-required"
    followed = tell("subscribe", task=task["id"])["events"]
    assert followed[0]["task"]["id"] == task["id"]
    assert "Push" in tell("push", task=task["id"])["error"]
    assert len(tell("list", context=task["contextId"])["result"]["tasks"]) == 1
    assert state_of(a2a_1_3, tell("cancel", task=task["id"])["result"]) == "canceled"
    streamed = tell("send", streaming=True, **words_of(a2a_1_3, "Double the number 8"))["events"]
    assert [list(event) for event in streamed] == [["task"], ["artifactUpdate"], ["statusUpdate"]]
    refused = tell("send", parts=[{"data": {"number": "many"}}], metadata={"skillId": "double"})
    assert refused["type"] == "InvalidParamsError"


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
def test_both_bindings_of_0_3_serve_all_operations(a2a_0_3, agent, binding) -> None:
    def tell(do, **order):
        return a2a_0_3.tell(do, base=agent.url, binding=binding, **order)

    said = message_in(a2a_0_3, tell("send", **data_of(a2a_0_3, str(LARGE))))
    assert said["parts"][0]["data"] == {"number": str(LARGE), "twice": str(2 * LARGE)}
    task = task_in(a2a_0_3, tell("send", **words_of(a2a_0_3, "Double a number for me")))
    assert state_of(a2a_0_3, tell("get", task=task["id"])["result"]) == "input-required"
    followed = tell("subscribe", task=task["id"], streaming=True)
    assert followed["events"][-1]["status"]["state"] == "input-required"
    assert "error" in tell("push", task=task["id"])
    assert state_of(a2a_0_3, tell("cancel", task=task["id"])["result"]) == "canceled"
    streamed = tell("send", streaming=True, **words_of(a2a_0_3, "Double the number 8"))["events"]
    assert [event["kind"] for event in streamed] == ["task", "artifact-update", "status-update"]
    assert (streamed[-1]["status"]["state"], streamed[-1]["final"]) == ("completed", True)


def test_a_client_in_another_language_is_answered_too(a2a_js, agent) -> None:
    ran = _run("node", a2a_js / "a2a_js.mjs", agent.url)
    assert ran.returncode == 0, ran.stderr
    data, words, streamed = (json.loads(line) for line in ran.stdout.splitlines())
    assert data["parts"][0]["content"]["value"] == {"number": str(LARGE), "twice": str(2 * LARGE)}
    assert "42" in json.dumps(words["artifacts"])
    assert [event["$case"] for event in streamed] == ["task", "artifactUpdate", "statusUpdate"]
    assert agent.called == [LARGE, 21, 4]


def test_a2a_lint_finds_nothing(a2a_checks, agent) -> None:
    ran = _run(a2a_checks / "a2a-lint", agent.url, "--live", "--strict", "--json")
    report = json.loads(ran.stdout)
    assert [each for each in report["findings"] if each["level"] != "info"] == []
    assert (ran.returncode, report["summary"]["grade"]) == (0, "A")


def test_a2a_proof_passes(a2a_checks, agent, tmp_path) -> None:
    made = _run(a2a_checks / "a2a-proof", "init", agent.url, cwd=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    ran = _run(a2a_checks / "a2a-proof", "run", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
