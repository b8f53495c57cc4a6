"""Runs a page of `docs/` in its framework's environment, serves the agent that it makes, and takes orders.

    python framework_page.py langgraph http://127.0.0.1:PORT-OF-A-PEER

The framework's model is scripted (`scripted_brain`), and the page's example address is that of the peer.
"""

import asyncio
import json
import re
import socket
import sys
import threading
from pathlib import Path

import uvicorn

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import framework_edges  # noqa: E402
import framework_models  # noqa: E402
from scripted_brain import Brain  # noqa: E402

FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(name, peer, brain):
    """The page's names, with all of its code run."""
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    code = "\n\n".join(FENCE.findall(text)).replace("http://127.0.0.1:8000", peer)
    page = {"__name__": "page", "model": getattr(framework_models, name.replace("-", "_"))(brain)}
    # smolagents reads its tools' source, so it must stand somewhere.
    import linecache

    linecache.cache["page.py"] = (len(code), None, code.splitlines(keepends=True), "page.py")
    exec(compile(code, "page.py", "exec"), page)  # noqa: S102 - our own page
    return page


def words(name, page, text):
    """What the page's other agent, which has ours for its tools, says to a text."""
    if name == "langgraph":
        return asyncio.run(page["assistant"].ainvoke({"messages": [("user", text)]}))["messages"][-1].text
    if name == "pydantic-ai":
        return asyncio.run(page["asking"].run(text)).output
    if name == "openai-agents":
        return asyncio.run(page["agents"].Runner.run(page["asking"], text)).final_output
    return str(page["asking"].run(text))


def schema_of(name, page, tool):
    """What the framework itself has read of one of our functions."""
    if name == "langgraph":
        from langchain_core.tools import tool as made

        return made(tool).tool_call_schema.model_json_schema()
    if name == "pydantic-ai":
        return page["pydantic_ai"].Tool(tool).function_schema.json_schema
    if name == "openai-agents":
        return page["agents"].function_tool(tool, strict_mode=False).params_json_schema
    return {"properties": page["smolagents"].tool(tool).inputs}


async def ask(page, peer, value):
    """What comes of asking in words, with the framework's model for ours."""
    from negotiator import CostPolicy

    caller = page["Agent"](model=page["model"], state="memory", cost_policy=CostPolicy(agree_first=False))
    async with caller:
        stream = caller.stream(peer, page["weather"], value)
        events = [type(event).__name__ async for event in stream]
        outcome = await stream.result()
    return {"tier": outcome.tier, "output": outcome.json, "model": outcome.model, "events": events}


def main():
    name, peer = sys.argv[1:]
    # What a framework prints is none of the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    brain = Brain()
    page = run_page(name, peer, brain)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(page["served"].asgi(), log_level="critical", lifespan="off")
    threading.Thread(target=uvicorn.Server(config).run, args=([listening],), daemon=True).start()
    print(json.dumps({"port": listening.getsockname()[1]}), file=answers, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        match order.pop("do"):
            case "calls":
                told = brain.calls
            case "heard":
                told = brain.heard
            case "words":
                told = words(name, page, order["text"])
            case "schemas":
                sync = name == "smolagents"
                ours = page["ours"]
                told = {
                    each.__name__: schema_of(name, page, each)
                    for each in (*ours.as_tools(page["weather"], sync=sync), *ours.as_tools(sync=sync))
                }
            case "edges":
                told = asyncio.run(framework_edges.edges(name))
            case "ask":
                told = asyncio.run(ask(page, order["peer"], order["value"]))
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
