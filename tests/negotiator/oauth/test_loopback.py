import asyncio
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from negotiator.errors import UsageError
from negotiator.oauth import LoopbackReceiver

pytestmark = pytest.mark.anyio


async def test_the_answer_is_the_one_with_the_state_that_was_asked_with():
    shown: list[str] = []
    loop, there = asyncio.get_running_loop(), asyncio.Event()

    def show(url):
        shown.append(url)
        loop.call_soon_threadsafe(there.set)

    receiver = LoopbackReceiver(show=show)
    assert urlsplit(receiver.redirect_uri).hostname == "127.0.0.1"
    asking = asyncio.ensure_future(receiver("https://login.example/authorize?state=abc"))
    await there.wait()
    async with httpx.AsyncClient(trust_env=False) as browser:
        for other in ("?code=evil&state=xyz", "?code=evil", "/more?state=abc"):
            assert (await browser.get(receiver.redirect_uri + other)).status_code == 404
        assert not asking.done()
        page = await browser.get(receiver.redirect_uri + "?code=good&state=abc")
    assert "close this page" in page.text
    assert await asking == receiver.redirect_uri + "?code=good&state=abc"
    assert shown == ["https://login.example/authorize?state=abc"]


async def test_a_port_that_is_in_use_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        receiver = LoopbackReceiver(port=taken.getsockname()[1], show=lambda _: None)
        with pytest.raises(UsageError, match="cannot be listened on"):
            await receiver("https://login.example/authorize?state=abc")
