"""What every dialect must do, as a check that anybody's can be run through."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from negotiator.dialects.base import Dialect, Refused
from negotiator.errors import NotPossible, PeerMisspoke
from negotiator.messages import Reply, Request
from negotiator.wire import WireReply, WireRequest

_DOCUMENT: Final = (
    # Of the text "A protocol document.\n".
    "sha256:aafcca97ffe1791fc50fa7142a94e0fc50abee06507dea0c2864abebc5d86a47",
    "sha1:470fbc9322ba7d7c62d19b7d4ba7ba1d6635d444",
)
_TEXT: Final = 'ä "quoted" line\nand 𝄞 another'

_REQUESTS: Final = {
    "natural language": Request(body=_TEXT),
    "a document": Request(body='{"city": "Rome"}', hashes=_DOCUMENT, sources=("data:text/plain,x",)),
    "a document without sources": Request(body="x", hashes=_DOCUMENT),
    "an object as body": Request(body={"city": "Rome", "n": [1, None, 2.5]}, hashes=_DOCUMENT),
    "an opening": Request(body=_TEXT, multiround=True),
    "a follow-up": Request(body=_TEXT, conversation="c-1", multiround=True),
    "a negotiation": Request(body=_TEXT, kind="negotiation", multiround=True),
    "its follow-up": Request(body=_TEXT, kind="negotiation", conversation="c-1", multiround=True),
    "a close": Request(kind="close", conversation="c-1"),
    "an idempotency key": Request(body=_TEXT, idempotency_key="key-1"),
}
_REQUIRED: Final = ("natural language", "a document", "an idempotency key")

_REPLIES: Final = {
    "a success": Reply(status="success", body=_TEXT),
    "a success with an object": Reply(status="success", body={"temperature": 21}),
    "a failure": Reply(status="failure", code="bad_input", error="the city is missing"),
    "a rejection": Reply(status="rejected", code="unsupported_protocol"),
    "a failure without a word": Reply(status="failure"),
    "an overload": Reply(status="failure", code="overloaded", retry_after=2.0),
}

_GARBAGE: Final = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe",
    b"{}",
    b'{"body": NaN}',
    b'{"body": 1e999}',
    b'{"body": ' + b"[" * 500 + b"]" * 500 + b"}",
    b'{"body": ' + b"[" * 100_000,
    b'{"protocolHash": 5, "body": "x"}',
    b'{"protocolHash": "x", "body": "x"}',
    b'{"protocolHash": ["x"], "protocolSources": {}, "body": "x"}',
    b'{"protocolHash": null, "protocolSources": [1], "body": "x"}',
    b'{"protocolHash": "negotiation", "protocolSources": null, "body": "{"}',
    b'{"status": 7}',
    b'{"status": ["success"]}',
    b'{"status": "success", "conversationId": {}, "conversationExpires": [], "tier": [], "body": null}',
    b'{"status": "failure", "error": {"a": 1}, "code": 5}',
    b'{"status": "error", "message": null}',
)


class NotConforming(AssertionError):
    """The dialect does not do what every dialect must; the message says which."""


def check_dialect(dialect: Dialect) -> None:
    """Run a dialect through what the engine relies on. Raises `NotConforming`."""
    _require(bool(dialect.name) and not dialect.name.split()[1:], "its name is one word")
    for what, request in _REQUESTS.items():
        _check_request(dialect, what, request)
    for what, reply in _REPLIES.items():
        _check_reply(dialect, what, reply)
    for wire in _garbage_requests():
        _tolerates(partial(dialect.decode_request, wire), Refused, f"the request {wire.body[:60]!r}")
    for data in _GARBAGE:
        for status in (200, 204, 302, 404, 500):
            answer = WireReply(status=status, body=data)
            for request in (_REQUESTS["natural language"], _REQUESTS["a negotiation"]):
                decode = partial(dialect.decode_reply, answer, request)
                _tolerates(decode, PeerMisspoke, f"the reply {status} {data[:60]!r}")


def _check_request(dialect: Dialect, what: str, request: Request) -> None:
    try:
        wire = dialect.encode_request(request)
    except NotPossible:
        _require(what not in _REQUIRED, f"{what} can be said")
        return
    _require(wire.path.startswith("/"), f"{what}: the path starts with a slash")
    _require(all(name == name.lower() for name in wire.headers), f"{what}: header names are in lower case")
    _require(dialect.encode_request(request) == wire, f"{what}: the same request gives the same bytes")
    read = dialect.decode_request(wire)
    _require(read.kind == request.kind, f"{what}: the kind survives")
    _require(read.conversation == request.conversation, f"{what}: the conversation survives")
    _require(read.idempotency_key == request.idempotency_key, f"{what}: the idempotency key survives")
    _require(set(read.hashes) <= set(request.hashes), f"{what}: no hash is made up")
    if request.conversation is None:
        _require(bool(read.hashes) == bool(request.hashes), f"{what}: the document survives")
        _require(not request.hashes or read.sources == request.sources, f"{what}: the sources survive")
    if isinstance(request.body, str):
        _require(read.body == request.body, f"{what}: the text survives")


def _check_reply(dialect: Dialect, what: str, reply: Reply) -> None:
    request = _REQUESTS["natural language"]
    read = dialect.decode_reply(dialect.encode_reply(reply, request), request)
    _require(read.status == reply.status, f"{what}: the status survives, {read.status} came")
    if isinstance(reply.body, str):
        _require(read.body == reply.body, f"{what}: the text survives")
    if reply.status != "success":
        unread = dialect.decode_reply(dialect.encode_reply(reply, None), request)
        _require(unread.status == reply.status, f"{what}: it can be said of a request that was not understood")


def _garbage_requests() -> Iterator[WireRequest]:
    types = ("application/json", "text/plain", "application/json, application/json", "")
    for data in _GARBAGE:
        for content_type in types:
            yield WireRequest(headers={"content-type": content_type}, body=data)
    for path in ("/", "/conversations/", "/conversations/../x", "/conversations/" + "a" * 5000, "/x", "//", "?"):
        for method in ("POST", "DELETE", "GET", "PATCH", ""):
            yield WireRequest(method=method, path=path, headers={"content-type": "application/json"}, body=b"{}")
    for key in ("", '"', "a b", "x" * 256, "é"):
        headers = {"content-type": "application/json", "idempotency-key": key}
        yield WireRequest(headers=headers, body=b'{"protocolHash": null, "protocolSources": [], "body": "x"}')


def _tolerates(act: Callable[[], object], expected: type[Exception], what: str) -> None:
    try:
        act()
    except expected:
        return
    except Exception as error:
        raise NotConforming(f"{what} raised {type(error).__name__}, not {expected.__name__}") from error


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - an assertion's condition
    if not holds:
        raise NotConforming(what)
