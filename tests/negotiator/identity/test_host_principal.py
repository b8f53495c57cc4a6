"""What the program around an agent has found out about a caller."""

from typing import Any

import pytest

from negotiator.transports.asgi import AsgiApp, asgi_app
from negotiator.wire import ANONYMOUS, WireReply, WireRequest

pytestmark = pytest.mark.anyio


async def _seen(app_options: dict[str, Any], scope: dict[str, Any]) -> WireRequest:
    seen: list[WireRequest] = []

    async def handler(wire: WireRequest) -> WireReply:
        seen.append(wire)
        return WireReply()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(_event: Any) -> None:
        pass

    app: AsgiApp = asgi_app(handler, **app_options)
    await app({"type": "http", "method": "POST", "path": "/", "headers": [], **scope}, receive, send)
    return seen[0]


async def test_a_declared_hook_names_the_principal() -> None:
    wire = await _seen({"principal_of": lambda scope: scope["user"]}, {"user": "alice"})
    assert wire.principal == "host:alice"


async def test_without_a_hook_what_lies_in_the_scope_is_nobodys_word() -> None:
    assert (await _seen({}, {"user": "alice"})).principal == ANONYMOUS


@pytest.mark.parametrize("name", [None, ""])
async def test_a_hook_that_names_nobody_leaves_the_caller_anonymous(name: str | None) -> None:
    assert (await _seen({"principal_of": lambda _scope: name}, {})).principal == ANONYMOUS


@pytest.mark.parametrize("name", ["did:web:other.example", "anonymous"])
async def test_no_host_name_passes_for_a_did_or_for_nobody(name: str) -> None:
    assert (await _seen({"principal_of": lambda _scope: name}, {})).principal == f"host:{name}"


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        ({"path": "/a b", "raw_path": b"/a%20b", "query_string": b"x=%20"}, "/a%20b?x=%20"),
        ({"path": "/m/a b", "raw_path": b"/m/a%20b", "root_path": "/m"}, "/a%20b"),
        ({"path": "/m x", "raw_path": b"/m%20x", "root_path": "/m x"}, "/"),
        ({"path": "/a"}, None),
    ],
)
async def test_the_target_is_kept_as_it_came(scope: dict[str, Any], target: str | None) -> None:
    assert (await _seen({}, scope)).target == target
