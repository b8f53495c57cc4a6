"""A scripted model of each framework, which says what `scripted_brain` has it say. None of them is a language model."""

import json
import uuid


def langgraph(brain):
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Scripted(BaseChatModel):
        names: tuple[str, ...] = ()

        @property
        def _llm_type(self):
            return "scripted"

        def bind_tools(self, tools, **_):
            return Scripted(names=tuple(getattr(tool, "name", None) or tool.__name__ for tool in tools))

        def _generate(self, messages, stop=None, run_manager=None, **_):
            system = "\n".join(each.text for each in messages if each.type == "system")
            last = max((i for i, each in enumerate(messages) if each.type == "human"), default=0)
            results = [each.text for each in messages[last:] if each.type == "tool"]
            said = brain.say(system, messages[last].text, results, self.names)
            if said[0] == "call":
                call = {"name": said[1], "args": said[2], "id": uuid.uuid4().hex, "type": "tool_call"}
                message = AIMessage(content="", tool_calls=[call])
            else:
                message = AIMessage(content=said[1])
            return ChatResult(generations=[ChatGeneration(message=message)])

    return Scripted()


def pydantic_ai(brain):
    from pydantic_ai.messages import (
        ModelResponse,
        SystemPromptPart,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )
    from pydantic_ai.models.function import DeltaToolCall, FunctionModel

    def say(messages, info):
        parts = [part for message in messages for part in message.parts]
        system = "\n".join(part.content for part in parts if isinstance(part, SystemPromptPart))
        last = max(i for i, part in enumerate(parts) if isinstance(part, UserPromptPart))
        results = [part.model_response_str() for part in parts[last:] if isinstance(part, ToolReturnPart)]
        return brain.say(system, str(parts[last].content), results, [tool.name for tool in info.function_tools])

    def whole(messages, info):
        said = say(messages, info)
        part = ToolCallPart(said[1], said[2]) if said[0] == "call" else TextPart(said[1])
        return ModelResponse(parts=[part])

    async def streamed(messages, info):
        said = say(messages, info)
        if said[0] == "call":
            yield {0: DeltaToolCall(name=said[1], json_args=json.dumps(said[2]))}
        else:
            for word in said[1].split(" "):
                yield word + " "

    return FunctionModel(whole, stream_function=streamed, model_name="scripted")


def openai_agents(brain):
    from agents import Model, ModelResponse, Usage, set_tracing_disabled
    from openai.types.responses import (
        Response,
        ResponseCompletedEvent,
        ResponseFunctionToolCall,
        ResponseOutputMessage,
        ResponseOutputText,
    )

    set_tracing_disabled(True)

    class Scripted(Model):
        async def get_response(self, system_instructions, input, model_settings, tools, *_, **__):  # noqa: A002
            items = [{"role": "user", "content": input}] if isinstance(input, str) else input
            last = max(i for i, each in enumerate(items) if each.get("role") == "user")
            outputs = [each["output"] for each in items[last:] if each.get("type") == "function_call_output"]
            said = brain.say(system_instructions or "", items[last]["content"], outputs, [tool.name for tool in tools])
            if said[0] == "call":
                item = ResponseFunctionToolCall(
                    type="function_call", name=said[1], arguments=json.dumps(said[2]), call_id=uuid.uuid4().hex
                )
            else:
                text = ResponseOutputText(type="output_text", text=said[1], annotations=[])
                item = ResponseOutputMessage(
                    id=uuid.uuid4().hex, type="message", role="assistant", status="completed", content=[text]
                )
            return ModelResponse(output=[item], usage=Usage(), response_id=None)

        async def stream_response(self, system_instructions, input, model_settings, tools, *_, **__):  # noqa: A002
            made = await self.get_response(system_instructions, input, model_settings, tools)
            response = Response(
                id="r",
                created_at=0,
                model="scripted",
                object="response",
                output=made.output,
                parallel_tool_calls=False,
                tool_choice="auto",
                tools=[],
            )
            yield ResponseCompletedEvent(type="response.completed", response=response, sequence_number=0)

    return Scripted()


def smolagents(brain):
    from smolagents import Model
    from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole

    def text_of(message):
        content = message.content
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])

    class Scripted(Model):
        def generate(self, messages, stop_sequences=None, response_format=None, tools_to_call_from=None, **_):
            system = "\n".join(text_of(each) for each in messages if each.role == MessageRole.SYSTEM)
            last = max(i for i, each in enumerate(messages) if each.role == MessageRole.USER)
            results = [text_of(each) for each in messages[last:] if each.role == MessageRole.TOOL_RESPONSE]
            tools = [tool.name for tool in tools_to_call_from or []]
            said = brain.say("" if tools else system, text_of(messages[last]), results, tools)
            if not tools:
                return ChatMessage(role=MessageRole.ASSISTANT, content=said[1])
            name, arguments = (said[1], said[2]) if said[0] == "call" else ("final_answer", {"answer": said[1]})
            function = ChatMessageToolCallFunction(name=name, arguments=arguments)
            call = ChatMessageToolCall(id=uuid.uuid4().hex, type="function", function=function)
            return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])

    return Scripted(model_id="scripted")
