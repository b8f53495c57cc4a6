"""From a name such as `openai/gpt-5-mini` to a model."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

from negotiator.clock import Clock, SystemClock
from negotiator.errors import MissingExtra, UsageError
from negotiator.models.base import Model
from negotiator.models.none import NoModel
from negotiator.models.recorded import RecordedModel

_KINDS = "none, local, local/<file.gguf>, openai/<model>, litellm/<provider>/<model>, recorded/<file>"


def open_model(
    spec: Any,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    clock: Clock | None = None,
    random: Callable[[], float] | None = None,
) -> Model:
    """The model that `spec` names. Nothing is connected to, loaded or imported before its first call.

    Args:
        spec: `none` or None; `local` (the default model, served on this machine) or `local/<file.gguf>`;
            `openai/<model>` at any OpenAI-compatible endpoint; `litellm/<name>` for any name that litellm
            takes; `recorded/<file>`; or a model, which is returned as it is; or a model object of LangChain,
            pydantic-ai, the OpenAI Agents SDK or smolagents.
        base_url: Of `openai/` and `litellm/`; for `openai/`, `OPENAI_BASE_URL` and then OpenAI's own by default.
        api_key: Of the same; `OPENAI_API_KEY` by default for `openai/`.
        clock: Where durations come from; the machine's by default.
        random: Numbers from 0 up to 1 for the jitter of retries; the machine's by default.

    Raises:
        UsageError: `spec` names no model, or an option does not apply to it.
        MissingExtra: It needs a package that is not installed.
    """
    if spec is not None and not isinstance(spec, str):
        _refuse("a model object", base_url=base_url, api_key=api_key)
        if isinstance(spec, Model):
            return spec
        from negotiator.frameworks.recognize import adapter_of, no_model  # noqa: PLC0415 - its tools need this package

        adapter = adapter_of(spec)
        if adapter is None:
            raise no_model(spec)
        return adapter.model(spec)
    kind, _, rest = (spec or "none").partition("/")
    clock = clock or SystemClock()
    if kind == "openai" and rest:
        from negotiator.models.openai_compatible import OpenAIModel  # noqa: PLC0415 - imported on use

        return OpenAIModel(
            rest,
            base_url=base_url or os.environ.get("OPENAI_BASE_URL") or None,
            api_key=api_key or os.environ.get("OPENAI_API_KEY") or None,
            clock=clock,
            random=random,
        )
    if kind == "litellm" and rest:
        _require("litellm", "litellm")
        from negotiator.models.litellm_provider import LiteLLMModel  # noqa: PLC0415

        return LiteLLMModel(rest, base_url=base_url, api_key=api_key, clock=clock, random=random)
    _refuse(kind, base_url=base_url, api_key=api_key)
    if kind == "none" and not rest:
        return NoModel()
    if kind == "local":
        _require("xllamacpp", "local")
        from negotiator.models.local import LocalModel  # noqa: PLC0415

        return LocalModel(rest or None, clock=clock, random=random)
    if kind == "recorded" and rest:
        return RecordedModel(rest)
    if kind == "scripted":
        raise UsageError("a scripted model is given as an object: ScriptedModel({purpose: answer})")
    raise UsageError(f"{spec!r} names no model; a name is one of {_KINDS}")


def _require(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingExtra(f'{package} is not installed; install it with: pip install "metaparley[{extra}]"')


def _refuse(kind: str, **options: str | None) -> None:
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{name} does not apply to {kind}")
