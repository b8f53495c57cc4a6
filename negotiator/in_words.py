"""Agora 0.2.0's negotiation in words, from the sender's side: one document is proposed, and taken or not."""

import re

from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import NegotiatorError, PeerMisspoke
from negotiator.interpret import Interpreter, body_text
from negotiator.ledger import Account
from negotiator.messages import Reply, Request
from negotiator.talk import require_room
from negotiator.task import Task
from protocol_docs import ProtocolDocument


async def propose_in_words(
    engine: Engine, base_url: str, task: Task, document: ProtocolDocument, account: Account, deadline: Deadline
) -> str | None:
    """Propose a document, and see whether the peer says yes; what it says instead, cut to 200 characters.

    Raises `BudgetSpent`, `DeadlinePassed`, `PeerMisspoke`, `ModelError` and what the transport raises.
    """
    text = (
        "Let us agree on a protocol document, so that neither side needs a language model for this task any "
        f"more. The task: {task.description}\n\nI propose the document below, to be used exactly as it "
        "stands. If you can serve it, answer with the word ACCEPT. If not, say what has to change.\n\n"
        f"{document.text}"
    )
    talk = _Words(engine, base_url, account, deadline)
    said = await talk.say(text)
    accepted = await talk.accepts(said)
    if not accepted:
        added = _new_in(await talk.say("I can use this document only. Please answer ACCEPT or REJECT."), said)
        accepted = await talk.accepts(added)
        said = added or said
    await talk.close()
    return None if accepted else said[:200]


class _Words:
    def __init__(self, engine: Engine, base_url: str, account: Account, deadline: Deadline) -> None:
        self._engine, self._base_url, self._account, self._deadline = engine, base_url, account, deadline
        self._conversation: str | None = None

    async def say(self, text: str) -> str:
        require_room(self._account, self._deadline)
        request = Request(kind="negotiation", body=text, multiround=True, conversation=self._conversation)
        reply: Reply = await self._engine.reach.exchange(self._base_url, request, self._deadline)
        if reply.status != "success":
            raise PeerMisspoke(f"the peer ended the negotiation: {reply.status}")
        self._conversation = reply.conversation or self._conversation
        return body_text(reply.body).strip()

    async def accepts(self, said: str) -> bool:
        if _YES.match(said):
            return True
        if not said or _NO.match(said) or not self._engine.has_model:
            return False
        interpreter = Interpreter(self._engine.model, self._account, self._deadline)
        return await interpreter.judge(said) == "accepts"

    async def close(self) -> None:
        if self._conversation is None:
            return
        closing = Request(kind="close", conversation=self._conversation)
        try:
            await self._engine.reach.exchange(self._base_url, closing, self._deadline)
        except NegotiatorError:
            return  # it expires by itself


_YES = re.compile(r"\W*(?:yes,? )?(?:i )?accept(?:ed)?\b", re.IGNORECASE)
_NO = re.compile(r"\W*(?:no|(?:i )?reject(?:ed)?|i (?:cannot|can['\u2019]t))\b", re.IGNORECASE)


def _new_in(said: str, earlier: str) -> str:
    """What an answer adds to the one before, which the package's LangChain conversations repeat in front of it."""
    while earlier and said.startswith(earlier):
        said = said.removeprefix(earlier).strip()
    return said
