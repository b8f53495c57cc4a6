"""anp: an agent of its `openanp`, and its client: `anp_sdk.py serve`, `anp_sdk.py call PORT ASKED`.

The agent asks for no proof: the client makes one for each call, and nobody checks it.
"""

import json
import sys
import tempfile
from pathlib import Path

import timing
from anp.authentication import DIDWbaAuthHeader, create_did_wba_document
from anp.openanp import AgentConfig, RemoteAgent, anp_agent, interface
from fastapi import FastAPI


@anp_agent(AgentConfig(name="a rival", did="did:wba:rival.example:agent", prefix="/agent"))
class Rival:
    @interface
    async def forecast(self, town: str, on: str, remarks: str) -> dict:
        """The weather that is expected in a town on a day."""
        return {"degrees": float(len(town)), "sky": f"clear on {on}"}


async def call(port, asked):
    with tempfile.TemporaryDirectory() as folder:
        document, keys = create_did_wba_document("caller.example", path_segments=["agent"])
        (Path(folder) / "did.json").write_text(json.dumps(document))
        (Path(folder) / "key.pem").write_bytes(keys["key-1"][0])
        auth = DIDWbaAuthHeader(str(Path(folder) / "did.json"), str(Path(folder) / "key.pem"))
        agent = await RemoteAgent.discover(f"http://127.0.0.1:{port}/agent/ad.json", auth)

        async def once():
            made = await agent.forecast(**asked)
            if made != {"degrees": float(len(asked["town"])), "sky": f"clear on {asked['on']}"}:
                raise AssertionError(made)

        await timing.obey(once)


if sys.argv[1] == "serve":
    app = FastAPI()
    app.include_router(Rival.router())
    timing.serve(app)
else:
    timing.run(call(int(sys.argv[2]), json.loads(sys.argv[3])))
