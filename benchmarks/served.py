"""The agent that `negotiator serve benchmarks.served:agent` serves; which one, the environment says."""

import os

from benchmarks.receivers import agent_of

agent = agent_of(os.environ["BENCHMARK_CASE"], os.environ["BENCHMARK_STATE"])
