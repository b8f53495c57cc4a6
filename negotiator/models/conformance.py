"""What every `Model` promises, as a check to run a third party's through."""

import asyncio

from negotiator.clock import Deadline, SystemClock
from negotiator.errors import DeadlinePassed
from negotiator.models.asking import Question, ask_model
from negotiator.models.base import Completion, Message, Model

_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
_QUESTION = Question(
    purpose="conformance",
    system='You choose a colour. Answer in JSON: {"colour": "red"} or {"colour": "green"}.',
    user="Which colour is grass, red or green?",
    schema=_SCHEMA,
    check=lambda answer: str(answer["colour"]),
)


async def check_model(model: Model, *, seconds: float = 120.0) -> None:
    """Asks `model` five short questions and closes it; `seconds` is the deadline of each.

    A model that is scripted needs answers for the purpose `conformance`: JSON `{"colour": ...}` where there is
    a schema, any text where there is none.

    Raises:
        AssertionError: It is no `Model`, or breaks a promise; the message says which.
        NegotiatorError: It could not be asked.
    """
    clock = SystemClock()
    _require(isinstance(model, Model), "it has name, complete and aclose")
    _require(bool(model.name) and model.name == model.name.strip(), "its name is a word")

    spoken: list[Completion] = []
    answer = await ask_model(
        model,
        _QUESTION,
        deadline=Deadline.after(seconds, clock),
        record=lambda _, completion: spoken.append(completion),
    )
    _require(answer.value in ("red", "green"), "its answer fits the schema")
    for completion in spoken:
        _require_sound(completion)

    prompt = [Message("system", "Be brief."), Message("user", "Say hello.")]
    before = list(prompt)
    both = await asyncio.gather(
        *(
            model.complete(prompt, purpose="conformance", max_tokens=16, deadline=Deadline.after(seconds, clock))
            for _ in range(2)
        )
    )
    for completion in both:
        _require_sound(completion)
    _require(prompt == before, "it leaves the messages as they are")

    try:
        await model.complete(prompt, purpose="conformance", max_tokens=16, deadline=Deadline.after(-1.0, clock))
    except DeadlinePassed:
        pass
    else:
        _require(False, "a passed deadline is DeadlinePassed")
    await model.aclose()
    await model.aclose()


def _require_sound(completion: Completion) -> None:
    _require(isinstance(completion.text, str), "the text is text")
    _require(bool(completion.model), "the model that answered is named")
    usage = completion.usage
    _require(usage.calls >= 1, "an answer counts as a call")
    _require(usage.prompt_tokens > 0, "the prompt's tokens are counted")
    _require(usage.completion_tokens >= 0 and usage.seconds >= 0, "tokens and seconds are not negative")
    _require(usage.usd is None or usage.usd >= 0, "money is unknown or not negative")


def _require(holds: bool, promise: str) -> None:  # noqa: FBT001
    if not holds:
        raise AssertionError(f"broken promise: {promise}")
