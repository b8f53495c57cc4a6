"""A chat model that is not there, for the package's own LangChain conversations: it calls tools as a model would."""

import re

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from scripted import RECEIVER_CODE, negotiate


class ScriptedChat(BaseChatModel):
    """Answers by the package's prompts, for a receiver. It is bold, as models are."""

    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools, **_):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **_):
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _answer(self, messages):
        prompt = next(message.content for message in messages if isinstance(message, SystemMessage))
        said = [message.content for message in messages if isinstance(message, HumanMessage)]
        if "ProtocolNegotiatorGPT" in prompt:
            return AIMessage(negotiate(said[0], len(said)).replace("ACCEPT", "**ACCEPT**"))
        if "ProtocolCheckerGPT" in prompt:
            return AIMessage("It fits. YES")
        if "ProtocolProgrammerGPT" in prompt:
            return AIMessage(f"<IMPLEMENTATION>\n{RECEIVER_CODE}\n</IMPLEMENTATION>")
        if isinstance(messages[-1], ToolMessage):
            degrees = messages[-1].content
            return AIMessage(
                f'{{"temperature": {degrees}}}' if "protocol is" in prompt else f"It is {degrees} degrees."
            )
        city = re.search(r'- city: (\w+)|"city": ?"(\w+)"', said[-1])
        call = {"name": "temperature_db", "args": {"city": city[1] or city[2]}, "id": f"call-{len(messages)}"}
        return AIMessage("", tool_calls=[call])
