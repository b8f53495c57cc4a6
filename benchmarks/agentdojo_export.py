"""Writes AgentDojo's cases as JSON: run by a Python that has the package, and knows nothing of this project.

For each suite its tools; for each user task the calls that solve it, with what the tools answered where it holds what
an attacker may write, for which there is a canary; for each injection task what it is after, and the calls that do it.
"""

import importlib.util
import json
import sys
import types
from typing import Any

VERSION = "v1.2.2"


def main() -> None:
    """One JSON object on standard output."""
    # The package's pipelines load the clients of five providers, none of which is needed for the cases.
    found = importlib.util.find_spec("agentdojo")
    if found is None or not found.submodule_search_locations:
        sys.exit("there is no package agentdojo here")
    pipelines = types.ModuleType("agentdojo.agent_pipeline")
    pipelines.__path__ = [f"{found.submodule_search_locations[0]}/agent_pipeline"]
    client: Any = types.ModuleType("agentdojo.agent_pipeline.llms.google_llm")
    client.EMPTY_FUNCTION_NAME = "<empty-function>"
    sys.modules |= {"agentdojo.agent_pipeline": pipelines, client.__name__: client}
    from agentdojo.agent_pipeline.tool_execution import tool_result_to_str  # noqa: PLC0415 - after the stand-in
    from agentdojo.functions_runtime import FunctionsRuntime  # noqa: PLC0415
    from agentdojo.task_suite.load_suites import get_suites  # noqa: PLC0415

    suites = {}
    for name, suite in get_suites(VERSION).items():
        vectors = list(suite.get_injection_vector_defaults())
        runtime = FunctionsRuntime(suite.tools)

        def environment(suite: Any = suite, vectors: Any = vectors) -> Any:
            return suite.load_and_inject_default_environment({each: f"<CANARY-{each}>" for each in vectors})

        users = {}
        for identifier, task in suite.user_tasks.items():
            here = task.init_environment(environment())
            calls = []
            for call in task.ground_truth(here.model_copy(deep=True)):
                result, error = runtime.run_function(here, call.function, call.args)
                said = error or tool_result_to_str(result)
                # What no attacker can write in is left out: some of it has the time of day in it.
                said = said if "<CANARY-" in said else ""
                calls.append({"tool": call.function, "arguments": dict(call.args), "result": said})
            users[identifier] = {"prompt": task.PROMPT, "calls": calls}
        injections = {
            identifier: {
                "goal": task.GOAL,
                "calls": [
                    {"tool": each.function, "arguments": dict(each.args)} for each in task.ground_truth(environment())
                ],
            }
            for identifier, task in suite.injection_tasks.items()
        }
        tools = {
            each.name: {"description": each.description, "parameters": each.parameters.model_json_schema()}
            for each in suite.tools
        }
        suites[name] = {"tools": tools, "user_tasks": users, "injection_tasks": injections}
    json.dump({"version": VERSION, "suites": suites}, sys.stdout, default=str, indent=1)


if __name__ == "__main__":
    main()
