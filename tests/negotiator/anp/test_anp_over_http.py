"""Two agents on two ports of this machine, over real sockets, their DID documents had over the network."""

import pytest

from negotiator import Agent, NotPossible, Task
from tests.negotiator.anp.anp_world import TEXT, obj
from tests.negotiator.identity.test_over_http import name_of, serving, url_of

pytestmark = pytest.mark.anyio

SAY = Task("Say a word again", input=obj(word=TEXT), output=TEXT, name="say")


@pytest.mark.parametrize("prefix", ["", "/agents/one"])
async def test_an_address_leads_to_a_transactional_routine_in_the_callers_name(prefix: str) -> None:
    async with serving(prefix) as (server, calls), serving() as (asker, _):
        place = "anp+" + url_of(server)
        for word in ("hello", "again"):
            outcome = await asker.ask(place, SAY, {"word": word})
            assert (outcome.json, outcome.tier, outcome.peer_tier) == (word, "routine", "routine")
            assert outcome.usage.calls == 0
        assert calls == [name_of(asker)] * 2
        record = asker.engine.reach.known(place)
        assert record is not None
        assert record.negotiates


async def test_whoever_proves_nothing_is_told_to() -> None:
    async with serving() as (server, calls), Agent(state="memory", allow_sources=["loopback"]) as nobody:
        with pytest.raises(NotPossible, match="prove who they are"):
            await nobody.ask("anp+" + url_of(server), SAY, {"word": "hello"})
    assert calls == []
