"""What an agent wants done, and what it can do: tasks and tools."""

import asyncio
import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial, wraps
from typing import Any

from negotiator.closing import closed
from negotiator.context import Context, current_context
from negotiator.errors import OutcomeUnknown, ToolFailed, UsageError
from negotiator.function_schemas import FunctionSchemas, of_function
from negotiator.journal import digest_of
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Effect
from negotiator.schemas import Schema


class Task:
    """Something to be asked of peers: a description, the shape of what goes in and of what is to come out.

    Two tasks are the same task where description, schemas and effect are equal.

    Args:
        description: One or two sentences; read by models and by people.
        input: A pydantic model, dataclass, TypedDict or JSON Schema of an object.
        output: The same, for the answer.
        effect: `transactional` (the default) is never sent twice; `safe` may be retried.
        name: A short name; made of the description where not given.
        natural_language: Whether the task may be asked in natural language.
    """

    __slots__ = (
        "description",
        "digest",
        "effect",
        "input",
        "name",
        "named_input",
        "natural_language",
        "output",
        "sensitive",
    )

    def __init__(
        self,
        description: str,
        *,
        input: Any = None,  # noqa: A002 -- the word people expect
        output: Any = None,
        effect: Effect = "transactional",
        name: str | None = None,
        natural_language: bool = True,
    ) -> None:
        self.description = description
        self.input = Schema.of(input)
        self.output = Schema.of(output)
        self.effect = effect
        self.name = name or description[:80]
        self.natural_language = natural_language
        self.sensitive = self.input.sensitive or self.output.sensitive
        """Whether a field of its input or output is marked, so that no model works on it; see `schemas.SENSITIVE`."""
        self.digest = digest_of([description, self.input.digest, self.output.digest, effect])
        named = closed(self.input.json_schema)
        self.named_input = self.input if named == self.input.json_schema else Schema(named)
        """The input's schema without fields that it does not name; what `check_input` checks by."""

    def check_input(self, value: JsonValue) -> None:
        """Check what is to be asked with: it fits the input's schema and has no fields that the schema does not name.

        An object that the schema leaves open outright (`additionalProperties`) may have more.

        Raises:
            BadInput: See `Schema.check`.
        """
        self.named_input.check(value)

    def __repr__(self) -> str:
        return f"Task({self.name!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A person's own function, offered to peers."""

    name: str
    description: str
    input: Schema
    output: Schema
    effect: Effect
    function: Callable[..., Any]
    inline: bool = False
    """Run a sync function in the event loop instead of a thread: for functions of microseconds."""
    public: bool | None = None
    """Whether callers who prove nothing may use it; None: where it is safe. See `negotiator.identity.Authority`."""
    bind: Callable[[JsonObject], dict[str, Any]] | None = field(default=None, repr=False)
    takes_context: str | None = None
    """The parameter that is given the request's `Context`, and is no part of the schema."""
    digest: str = field(init=False, repr=False, compare=False)
    """Identifies the tool's interface, not its code."""
    is_async: bool = field(init=False, repr=False, compare=False)
    """Whether the function is one of those that are awaited."""

    def __post_init__(self) -> None:
        said = [self.name, self.description, self.input.digest, self.output.digest, self.effect]
        object.__setattr__(self, "digest", digest_of(said))
        object.__setattr__(self, "is_async", inspect.iscoroutinefunction(self.function))

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        effect: Effect,
        inline: bool = False,
        public: bool | None = None,
        name: str | None = None,
        description: str | None = None,
        input: Any = None,  # noqa: A002
        output: Any = None,
    ) -> "Tool":
        """Make a tool of a sync or async function.

        With `input` (a JSON Schema or type of an object) the function is called with its properties as keyword
        arguments; without, the schemas are read from the signature. A parameter of the type `Context` is no argument
        of callers': it is given the request's. Raises `UsageError`.
        """
        takes_context = _context_parameter(function)
        if input is not None:
            input_schema = Schema.of(input)
            doc = inspect.getdoc(function) or ""
            return cls(
                name=name or str(getattr(function, "__name__", "tool")),
                description=description or " ".join(doc.split("\n\n", 1)[0].split()),
                input=input_schema,
                output=Schema({}) if output is None else Schema.of(output, mode="serialization"),
                effect=effect,
                function=function,
                inline=inline,
                public=public,
                takes_context=takes_context,
            )
        read: FunctionSchemas = of_function(_without(function, takes_context) if takes_context else function)
        return cls(
            name=name or read.name,
            description=description or read.description,
            input=read.input,
            output=read.output if output is None else Schema.of(output, mode="serialization"),
            effect=effect,
            function=function,
            inline=inline,
            public=public,
            bind=read.input.load,
            takes_context=takes_context,
        )

    @property
    def sensitive(self) -> bool:
        """Whether a field of its arguments or result is marked, so that no model works on it."""
        return self.input.sensitive or self.output.sensitive

    @property
    def is_public(self) -> bool:
        """Whether callers who prove nothing are meant too."""
        return self.effect == "safe" if self.public is None else self.public

    def ready(self, arguments: JsonValue) -> Callable[[], Awaitable[JsonValue]]:
        """Check the arguments; what is returned runs the function once and gives its result as plain JSON.

        Checking apart from running lets a caller be sure that a refused call did nothing.

        Raises:
            BadInput: the arguments do not fit. What is returned raises `ToolFailed` where the function raised or
                its result does not fit its own schema, and `OutcomeUnknown` where the function does.
        """
        return partial(self.run, self.bound(arguments))

    def bound(self, arguments: JsonValue) -> dict[str, Any]:
        """Check the arguments: what `run` is given. Raises `BadInput`."""
        if self.bind is not None:
            return self.bind(arguments)
        return _keywords(self.input.load(arguments))

    async def call(self, arguments: JsonValue) -> JsonValue:
        """`ready`, and run at once."""
        return await self.ready(arguments)()

    async def run(self, keywords: dict[str, Any]) -> JsonValue:
        """Run the function once with what `bound` made. Raises `ToolFailed` and `OutcomeUnknown`, as `ready` says."""
        return self.said(await self.given(keywords))

    def said(self, value: Any) -> JsonValue:
        """What the function gave, as plain JSON. Raises `ToolFailed`."""
        try:
            return self.output.dump_checked(value)
        except (ToolFailed, OutcomeUnknown):
            raise
        except Exception as error:
            raise self._failed(error) from error

    async def given(self, keywords: dict[str, Any]) -> Any:
        """Run the function once; what it gives, as it is. Raises `ToolFailed` and `OutcomeUnknown`."""
        if self.takes_context is not None:
            keywords = {**keywords, self.takes_context: current_context()}
        try:
            if self.is_async:
                value = await self.function(**keywords)
            elif self.inline:
                value = self.function(**keywords)
            else:
                value = await asyncio.to_thread(self.function, **keywords)
            if value.__class__ is not dict and inspect.isawaitable(value):  # of a callable object, or a partial
                value = await value
        except (ToolFailed, OutcomeUnknown):
            raise
        except Exception as error:
            raise self._failed(error) from error
        return value

    def _failed(self, error: Exception) -> ToolFailed:
        # Whatever it is, it is the tool's: an error of a peer that the tool itself asked says nothing of ours.
        return ToolFailed(f"the tool {self.name} failed with {type(error).__name__}")


def _keywords(loaded: Any) -> dict[str, Any]:
    if isinstance(loaded, dict):
        return loaded
    if is_dataclass(loaded):
        return {each.name: getattr(loaded, each.name) for each in fields(loaded)}
    return dict(loaded)


def _context_parameter(function: Callable[..., Any]) -> str | None:
    try:
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters
    except (NameError, TypeError, ValueError):
        return None  # whoever reads the schemas says what is wrong
    found = [name for name, hint in hints.items() if hint is Context and name in parameters]
    if len(found) > 1:
        raise UsageError(f"{function!r:.100} takes more than one Context")
    return found[0] if found else None


def _without(function: Callable[..., Any], parameter: str) -> Callable[..., Any]:
    """What tells of itself what `function` does, but for one parameter; not to be called."""

    @wraps(function)
    def shown() -> None:
        raise AssertionError("this stands for a signature")

    signature = inspect.signature(function)
    kept = [each for each in signature.parameters.values() if each.name != parameter]
    told: Any = shown
    told.__signature__ = signature.replace(parameters=kept)
    hints = typing.get_type_hints(function, include_extras=True)
    told.__annotations__ = {name: hint for name, hint in hints.items() if name != parameter}
    return shown


def toolset_digest(tools: dict[str, Tool]) -> str:
    """Identifies what an agent can do: part of a receiver routine's key."""
    return digest_of(sorted(tool.digest for tool in tools.values()))
