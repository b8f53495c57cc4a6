"""The check that a third party's model is run through: ours pass, and what breaks a promise does not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from negotiator.errors import ModelUnavailable
from negotiator.models import Completion, Message, NoModel, RecordedModel, RecordingModel, ScriptedModel, Usage
from negotiator.models.conformance import check_model
from negotiator.models.openai_compatible import OpenAIModel
from tests.negotiator.models.loopback import endpoint, said

GREEN = {"conformance": {"colour": "green"}}


class Changed(ScriptedModel):
    """A scripted model that breaks one promise."""

    def __init__(self, change: str) -> None:
        super().__init__(GREEN, name=" spaced " if change == "name" else "third/party")
        self.change = change

    async def complete(self, messages: Sequence[Message], **more: Any) -> Completion:
        if self.change == "deadline":
            more["deadline"] = type(more["deadline"]).after(60, more["deadline"].clock)
        completion = await super().complete(messages, **more)
        if self.change == "usage":
            return Completion(text=completion.text, model=completion.model)
        if self.change == "money":
            return Completion(text=completion.text, model="x", usage=completion.usage + Usage(usd=-1))
        if self.change == "messages":
            messages.clear()  # type: ignore[attr-defined]
        return completion


@pytest.mark.anyio
async def test_scripted_and_recorded_models_keep_the_promises(tmp_path: Path) -> None:
    await check_model(Changed("nothing"))
    await check_model(RecordingModel(ScriptedModel(GREEN), tmp_path / "file.jsonl"))
    await check_model(RecordedModel(tmp_path / "file.jsonl"))


@pytest.mark.anyio
async def test_an_openai_compatible_model_keeps_the_promises() -> None:
    async with endpoint(said('{"colour": "red"}'), said("Hello."), said("Hello.")) as served:
        await check_model(OpenAIModel("small", base_url=served.url))


@pytest.mark.anyio
@pytest.mark.parametrize("change", ["name", "deadline", "usage", "money", "messages"])
async def test_a_broken_promise_is_named(change: str) -> None:
    with pytest.raises(AssertionError, match="broken promise"):
        await check_model(Changed(change))


@pytest.mark.anyio
async def test_what_is_no_model_is_told_apart_from_a_model_that_is_away() -> None:
    with pytest.raises(AssertionError, match="it has name, complete and aclose"):
        await check_model(object())  # type: ignore[arg-type]
    with pytest.raises(ModelUnavailable):
        await check_model(NoModel())
