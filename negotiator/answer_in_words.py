"""The receiver's half without a document: the model, or the owner's own function, reads what is asked."""

from functools import partial

from negotiator.answering import Answering
from negotiator.describe import result_text
from negotiator.errors import BudgetSpent, NotAllowed, NotPossible
from negotiator.interpret import NotAnswered, body_text
from negotiator.messages import Reply
from negotiator.own_words import OwnWords
from negotiator.proposals import in_words


async def answer_in_words(work: Answering) -> Reply:
    """Answer in natural language. Raises `NotPossible`, `BudgetSpent`, `NotAllowed`, and what the tool does."""
    engine = work.engine
    if engine.own_words is not None:
        return await _in_own_words(work, engine.own_words)
    if not engine.has_model or not engine.tools:
        raise NotPossible("this agent reads no natural language")
    if not engine.within_budget:
        raise BudgetSpent("the budget for callers is spent")
    offered = work.allowed()
    if not offered:
        raise NotAllowed
    text = _text(work)
    tool = await work.choose(text, offered)
    work.counted = in_words(tool)
    if tool is None:
        return Reply(status="failure", code="not_answered", error="This agent has nothing that does what is asked.")
    try:
        arguments = await work.interpreter().read_request(text, tool)
    except NotAnswered as error:
        return Reply(status="failure", code="input_missing", error=f"Something is missing: {error}"[:300])
    result = await work.call(tool, arguments)
    body = result_text(tool.description, result, tool.output.json_schema)
    return Reply(status="success", body=body, tier="natural_language")


async def _in_own_words(work: Answering, words: OwnWords) -> Reply:
    """The owner's own function answers; what it does on the way is one entry of the journal."""
    engine, text = work.engine, body_text(work.request.body)
    work.require(words.name, engine.reach_of_words, public=engine.reach_of_words == "safe")
    run = work.in_context(partial(words.answer, text))
    said = await work.journal.call(words.name, {"text": text}, words.effect, run)
    return Reply(status="success", body=said, tier="natural_language")


def _text(work: Answering) -> str:
    turns = [f"{role}: {said}" for role, said in work.context.history]
    return "\n\n".join([*turns, body_text(work.request.body)])
