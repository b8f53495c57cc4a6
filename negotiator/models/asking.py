"""One question to a model: asked, read tolerantly, checked strictly, repaired at most once.

A model's answer is data. It is cut to a length, parsed, held to the question's schema and then to its own
check; only what passes all of them is handed on, whole.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, NoReturn, TypeVar

import jsonschema_rs

from negotiator.clock import Deadline
from negotiator.errors import ModelMisspoke
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.models.base import Completion, Message, Model, Usage

T = TypeVar("T")

MAX_ANSWER_CHARACTERS: Final = 64_000
"""A longer answer is refused unread."""
MAX_ERROR_CHARACTERS: Final = 600
"""How much of what was wrong the model is shown."""
MAX_SHOWN_CHARACTERS: Final = 4_000
"""How much of its own failed answer the model is shown again."""
MAX_DEPTH: Final = 64
"""Deeper JSON is refused."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """Something to ask a model.

    Example:
        ```python
        Question(
            purpose="choose_city",
            system="You pick out cities.",
            user=quoted(sentence, 500),
            schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            check=lambda answer: answer["city"],
        )
        ```
    """

    purpose: str
    """A short word for the ledger and for scripts; never sent."""
    system: str
    user: str
    schema: JsonObject | None
    """JSON Schema of the answer; None asks for plain text."""
    check: Callable[[JsonValue], T]
    """Turns the parsed answer (or the text) into what is wanted; raises `ValueError` saying what will not do."""
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of a question."""

    value: T
    """What `Question.check` returned."""
    usage: Usage
    """Of both calls where it took two."""
    model: str
    """The name of the model that answered."""


async def ask_model(
    model: Model,
    question: Question[T],
    *,
    deadline: Deadline,
    record: Callable[[str, Completion], None] | None = None,
    allow: Callable[[], None] | None = None,
) -> Answer[T]:
    """Ask, and ask once more with the error shown where the answer will not do.

    Args:
        model: Whom to ask.
        question: What to ask.
        deadline: Of both turns together.
        record: Called with (purpose, completion) for each answer, good or bad; the ledger's hook.
        allow: Called before each call of the model; raises where it may not be made.

    Raises:
        ModelMisspoke: Two answers would not do, or the model refused.
        ModelUnavailable: See `Model.complete`.
        DeadlinePassed: See `Model.complete`.
    """
    prompt = [Message("system", question.system), Message("user", question.user)]
    usage = Usage()
    problem = ""
    for repairing in (False, True):
        if allow is not None:
            allow()
        completion = await model.complete(
            prompt,
            purpose=question.purpose,
            schema=question.schema,
            max_tokens=question.max_tokens,
            deadline=deadline,
        )
        usage += completion.usage
        if record is not None:
            record(question.purpose, completion)
        if completion.refusal is not None:
            raise ModelMisspoke(f"{completion.model} refused ({question.purpose}): {_cut(completion.refusal, 300)}")
        try:
            return Answer(_read(completion, question), usage, completion.model)
        except ValueError as found:
            problem = _cut(str(found) or "it will not do", MAX_ERROR_CHARACTERS)
        if not repairing:
            prompt = [*prompt, *_repair(completion, problem, question)]
    raise ModelMisspoke(f"{completion.model} answered twice what will not do ({question.purpose}): {problem}")


def quoted(text: str, limit: int, *, label: str = "data") -> str:
    """Fence a stranger's `text` as data in a prompt, cut to `limit` characters.

    The fence is named after a digest of what is inside and occurs nowhere in it, so the text cannot close
    it; it holds no randomness, so the same prompt is the same bytes. Words that chat templates give a
    meaning to, such as `<|im_end|>`, are broken by a space, for a local model's tokenizer reads them anywhere.
    """
    shown = unmarked(text[:limit])
    cut = f"\n[{len(text) - limit} more characters were cut]" if len(text) > limit else ""
    seed = shown
    while (tag := f"{label} {hashlib.sha256(seed.encode('utf-8', 'replace')).hexdigest()[:8]}") in shown:
        seed = tag + seed
    return f"<<<begin {tag}\n{shown}\n<<<end {tag}{cut}"


def unmarked(text: str) -> str:
    """`text` with a space in each word that chat templates give a meaning to."""
    return _TEMPLATE_WORDS.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


_TEMPLATE_WORDS = re.compile(r"<\||<(?=/?(?:s|bos|eos|start_of_turn|end_of_turn|tool_call|think)>)|\[(?=/?INST\])")
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_OPENING_LINE = re.compile(r"^[ \t]*[\[{]", re.MULTILINE)
_OPENING = re.compile(r"[\[{]")


def _read(completion: Completion, question: Question[T]) -> T:
    text = _THOUGHT.sub("", completion.text.removeprefix("\ufeff"))
    if completion.truncated:
        raise ValueError(f"the answer was cut off at {question.max_tokens} tokens; answer more briefly")
    if not text.strip():
        raise ValueError("the answer is empty")
    if len(text) > MAX_ANSWER_CHARACTERS:
        raise ValueError(f"the answer is longer than {MAX_ANSWER_CHARACTERS} characters")
    if question.schema is None:
        return question.check(text.strip())
    answer = parse_json(text)
    _hold_to(question.schema, answer)
    return question.check(answer)


def parse_json(text: str) -> JsonValue:
    """The JSON value in a model's text: bare, in a code fence, or after some prose.

    A value that is broken is not mended, and no inner part of it is taken for the whole.

    Raises:
        ValueError: There is none; or it holds NaN, an infinite number, half a surrogate pair or more than
            `MAX_DEPTH` levels.
    """
    first: ValueError | None = None
    for start, whole in _places(text):
        try:
            value, end = _DECODER.raw_decode(text, start)
            _alone(text, end, whole)
            _sound(value)
        except RecursionError:
            raise ValueError(f"the JSON is nested deeper than {MAX_DEPTH} levels") from None
        except ValueError as problem:
            first = first or problem
        else:
            return value
    raise ValueError(f"the answer is not JSON: {first}")


def _places(text: str) -> Iterator[tuple[int, int | None]]:
    """Where the answer may begin, best first, and where it must end."""
    yield _skip(text, 0), len(text)
    for start, end in _fenced(text):
        yield _skip(text, start), end
    for opening in (_OPENING_LINE.search(text), _OPENING.search(text)):
        if opening is not None:
            yield opening.end() - 1, None


def _fenced(text: str) -> Iterator[tuple[int, int]]:
    """Where the insides of closed code fences begin and end."""
    inside: int | None = None
    at = 0
    for line in text.splitlines(keepends=True):
        if inside is None and line.startswith("```"):
            inside = at + len(line)
        elif inside is not None and line.rstrip() == "```":
            yield inside, at
            inside = None
        at += len(line)


def _alone(text: str, end: int, whole: int | None) -> None:
    if whole is not None and text[end:whole].strip():
        raise ValueError("something follows the JSON value")


def _skip(text: str, start: int) -> int:
    return len(text) - len(text[start:].lstrip())


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:30]} is not a finite number")
    return number


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=_number, parse_constant=_no_constant)


def _sound(value: JsonValue, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"the JSON is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for key, inner in value.items():
            key.encode()
            _sound(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _sound(inner, depth + 1)


def _no_retrieval(uri: str) -> Any:
    raise ValueError(f"{uri} is not part of the schema")


def _hold_to(schema: JsonObject, answer: JsonValue) -> None:
    wrong = [
        f"at {'/' + '/'.join(map(str, error.instance_path)) if error.instance_path else 'the top'}: "
        f"{_cut(error.message, 160)}"
        for error, _ in zip(
            jsonschema_rs.validator_for(schema, retriever=_no_retrieval).iter_errors(answer), range(3), strict=False
        )
    ]
    if wrong:
        raise ValueError("the answer does not fit the schema; " + "; ".join(wrong))


def _repair(completion: Completion, problem: str, question: Question[Any]) -> list[Message]:
    wanted = "the text alone" if question.schema is None else "one whole, corrected JSON value and nothing else"
    return [
        Message("assistant", _cut(completion.text, MAX_SHOWN_CHARACTERS)),
        Message("user", f"That answer cannot be used: {problem}\nAnswer again: {wanted}."),
    ]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}[...]"
