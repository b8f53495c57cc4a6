"""The receiver's straight line: nothing that must not be done twice, a routine for every request, and no doubt.

What stands ready for a document is looked up once; a request then takes a check, a mapping, the tool, a mapping and a
check, or a person's own function alone. It reads no store, starts no task and sets no timer of its own. Where anything
is in doubt nothing is done here, and the ladder in `answer` takes the request as if nothing had been tried.
"""

from typing import Any, Final

from negotiator.answering import is_told, tell
from negotiator.bounded import keep
from negotiator.context import begin, context_made, end
from negotiator.conversations import Turn
from negotiator.engine import Engine
from negotiator.interpret import body_value
from negotiator.jsonvalue import JsonValue
from negotiator.oauth.granted import granted_scopes
from negotiator.ready_to_answer import NOTHING_DONE, Natively, Ready, ResultUnread
from negotiator.tracing import current_trace

MAX_ALLOWED: Final = 256
"""Principals that are remembered as allowed, for each document that stands ready."""


def may_be_kept(engine: Engine, principal: str, key: str | None) -> bool:
    """Whether there may be a reply, or a refusal, for the key of a request: then it is for the ladder to say.

    Where there is none, the request is new, and nothing comes of it that must not be done twice. Raises
    `protocol_docs.StoreUnusable`.
    """
    return key is not None and engine.may_have_effects() and engine.replies.used(principal, key)


def taken_by(engine: Engine, ready: Ready, body: JsonValue, principal: str) -> Any:
    """What `answer_warm` is to be given for a request; `NOTHING_DONE` where that is for the ladder to see.

    A table of authority never changes: whom it allowed something once, it allows it.
    """
    authority = engine.authority
    if ready.allowed.get(principal) is not authority or granted_scopes():
        if not ready.may(authority, principal):
            return NOTHING_DONE
        if not granted_scopes():
            keep(ready.allowed, principal, authority, MAX_ALLOWED)
    return ready.takes(body)


async def answer_warm(
    engine: Engine,
    ready: Ready,
    taken: Any,
    body: JsonValue,
    principal: str,
    ends: float,
    history: tuple[Turn, ...] = (),
    written: bool = False,  # noqa: FBT001, FBT002 - each warm request comes here
) -> JsonValue | bytes:
    """The reply's body for what `taken_by` has taken; `NOTHING_DONE` where its code could not read the body.

    `ends` is the deadline, in seconds of `clock.monotonic()`. If it is to be `written`, the body is perhaps its bytes.
    Raises `ResultUnread`, and what the tool raises.
    """
    context = [principal, ends, engine.clock, engine.new_id, history, current_trace()]
    token = begin(context)
    try:
        mapped = ready.mapped
        if mapped is None:
            made = await ready.run(taken, principal)
        else:
            tool = mapped.tool
            # Who is told of each use is told of each.
            if is_told():
                tell(tool.name, tool.effect, principal, "routine", allowed=True)
            made = mapped.told(await tool.given(taken), body, written)
    except ResultUnread:
        raise
    except BaseException:
        # Of a thread nobody can tell it otherwise.
        context_made(context).cancel()
        ready.count(engine.ledger)
        raise
    finally:
        end(token)
    if made is not NOTHING_DONE:
        ready.count(engine.ledger)
    return made


def body_for(ready: Ready, body: JsonValue) -> JsonValue:
    """A request's body as its routine reads it: JSON in a text is a person's own function's business."""
    return body if isinstance(ready, Natively) else body_value(body)
