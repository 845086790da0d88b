"""A Messages request as the hub's chat request.

Rule: nothing is lost. What chat completions lack travels in extension fields that dialects read or
report (plain.py lists them); what neither can express is refused, or reported when it is only a hint.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import InvalidValue, MissingParameter, UnsupportedParameter
from gatemill.wire import fields
from gatemill.wire.messages import request as words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Call
    from gatemill.core.ports import Json

# Top-level fields whose loss would change the answer or where it is made.
_REFUSED = ("container", "mcp_servers", "inference_geo", "thread", "fallbacks")
_NEUTRAL = {"service_tier": "auto", "speed": "standard"}
_BUDGETS = ((16_384, "high"), (4_096, "medium"), (0, "low"))  # budget_tokens from, effort


def to_chat(body: bytes, call: Call) -> Json:
    """The hub's request; hints it cannot carry are added to `call.reported`."""
    request = words.read(body)
    if request.max_tokens < 1:
        raise InvalidValue(
            "`max_tokens`: must be at least 1 for a model of another provider.", param="max_tokens"
        )
    _report(body, call)
    chat: Json = {
        "model": request.model,
        "messages": _messages(request),
        "max_completion_tokens": request.max_tokens,
    }
    _sampling(request, chat)
    _tools(request, chat)
    _output(request, chat)
    if request.metadata and request.metadata.user_id:
        chat["user"] = request.metadata.user_id
    if request.stream:
        chat["stream"] = True
    return chat


def _report(body: bytes, call: Call) -> None:
    for name, raw in fields.shallow(body).items():
        if name in words.FIELDS or bytes(raw) == b"null" or name in call.reported:
            continue
        if name in _REFUSED:
            raise UnsupportedParameter(
                f"`{name}` cannot be carried to a model of another provider. Remove it, or choose"
                " an Anthropic model.",
                param=name,
            )
        if bytes(raw) != fields.encode(_NEUTRAL.get(name)):
            call.reported = (*call.reported, name)


def _sampling(request: words.Request, chat: Json) -> None:
    if request.temperature is not None:
        chat["temperature"] = request.temperature
    if request.top_p is not None:
        chat["top_p"] = request.top_p
    if request.top_k is not None:
        chat["top_k"] = request.top_k
    if request.stop_sequences:
        chat["stop"] = request.stop_sequences


# --- Turns ------------------------------------------------------------------------------------


def _messages(request: words.Request) -> list[Json]:
    out: list[Json] = []
    if request.system:
        out.append({"role": "system", "content": _texts(request.system)})
    for number, message in enumerate(request.messages):
        if isinstance(message, words.System):
            out.append({"role": "system", "content": _texts(message.content)})
        elif isinstance(message, words.Assistant):
            out.extend(_assistant(message))
        else:
            out.extend(_user(message, f"messages.{number}.content"))
    return out


def _texts(content: str | list[words.Text]) -> str | list[Json]:
    return content if isinstance(content, str) else _content([_text(block) for block in content])


def _content(parts: list[Json]) -> str | list[Json]:
    """A lone plain text as a string, which every vendor accepts; otherwise parts."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        text: str = parts[0]["text"]
        return text
    return parts


def _user(message: words.User, at: str) -> list[Json]:
    """Tool messages first, then what the user said: the order both formats ask for."""
    if isinstance(message.content, str):
        return [{"role": "user", "content": message.content}]
    results: list[Json] = []
    parts: list[Json] = []
    for number, block in enumerate(message.content):
        if isinstance(block, words.ToolResult):
            results.append(_tool_result(block, f"{at}.{number}"))
        else:
            parts.append(_part(block, f"{at}.{number}"))
    if parts:
        results.append({"role": "user", "content": _content(parts)})
    return results


def _tool_result(block: words.ToolResult, at: str) -> Json:
    if isinstance(block.content, list):
        parts = [_part(part, f"{at}.content.{i}") for i, part in enumerate(block.content)]
        content = _content(parts) if parts else ""
    else:
        content = block.content or ""
    message: Json = {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}
    if block.is_error:
        message["is_error"] = True
    return _cached(message, block.cache_control)


def _assistant(message: words.Assistant) -> list[Json]:
    """Usually one message; a new one begins where thinking follows text, so that order is kept."""
    if isinstance(message.content, str):
        return [{"role": "assistant", "content": message.content}]
    out: list[Json] = []
    texts: list[Json] = []
    calls: list[Json] = []
    thoughts: list[words.Thinking | words.RedactedThinking] = []
    for block in message.content:
        if isinstance(block, words.Text):
            texts.append(_text(block))
        elif isinstance(block, words.ToolUse):
            calls.append(_tool_call(block))
        else:
            if texts and not calls:
                out.append(_said(thoughts, texts, calls))
                thoughts, texts = [], []
            thoughts.append(block)
    if thoughts or texts or calls:
        out.append(_said(thoughts, texts, calls))
    return out


def _said(
    thoughts: Sequence[words.Thinking | words.RedactedThinking],
    texts: list[Json],
    calls: list[Json],
) -> Json:
    message: Json = {"role": "assistant", "content": _content(texts) if texts else None}
    if calls:
        message["tool_calls"] = calls
    signed: list[Json] = []
    unsigned: list[str] = []
    for block in thoughts:
        if isinstance(block, words.RedactedThinking):
            signed.append({"type": "redacted_thinking", "data": block.data})
        elif block.signature:
            thought = {"type": "thinking", "thinking": block.thinking}
            signed.append({**thought, "signature": block.signature})
        else:
            unsigned.append(block.thinking)
    if signed:
        message["thinking_blocks"] = signed
    if unsigned:
        message["reasoning_content"] = "".join(unsigned)
    return message


def _tool_call(block: words.ToolUse) -> Json:
    arguments = fields.encode(block.input).decode()
    call: Json = {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": arguments},
    }
    return _cached(call, block.cache_control)


def _cached(part: Json, cache_control: Json | None) -> Json:
    if cache_control is not None:
        part["cache_control"] = cache_control
    return part


def _text(block: words.Text) -> Json:
    return _cached({"type": "text", "text": block.text}, block.cache_control)


def _part(block: words.Text | words.Image | words.Document, at: str) -> Json:
    if isinstance(block, words.Text):
        return _text(block)
    if isinstance(block, words.Image):
        part: Json = {"type": "image_url", "image_url": {"url": _image_url(block.source, at)}}
    else:
        part = {"type": "file", "file": _file(block, at)}
    return _cached(part, block.cache_control)


def _image_url(source: words.Source, at: str) -> str:
    if source.type == "url":
        return source.url
    if source.type == "base64":
        return f"data:{source.media_type};base64,{source.data}"
    raise _foreign(f"{at}.source.type", "Send the image as base64 or as a URL.")


def _file(block: words.Document, at: str) -> Json:
    if block.context or (block.citations or {}).get("enabled"):
        name = "context" if block.context else "citations"
        raise _foreign(f"{at}.{name}", "Remove it, or choose an Anthropic model.")
    source = block.source
    if source.type == "base64":
        data = f"data:{source.media_type};base64,{source.data}"
    elif source.type == "text":
        encoded = base64.b64encode(source.data.encode()).decode()
        data = f"data:text/plain;base64,{encoded}"
    else:
        raise _foreign(f"{at}.source.type", "Send the document as base64 or text.")
    file: Json = {"file_data": data}
    if block.title is not None:
        file["filename"] = block.title
    return file


def _foreign(param: str, remedy: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"`{param}` cannot be carried to a model of another provider. {remedy}", param=param
    )


# --- Tools and output ---------------------------------------------------------------------------


def _tools(request: words.Request, chat: Json) -> None:
    if request.tools:
        chat["tools"] = [_tool(tool, f"tools.{i}") for i, tool in enumerate(request.tools)]
    choice = request.tool_choice
    if choice is None:
        return
    if choice.type == "tool":
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    else:
        chat["tool_choice"] = "required" if choice.type == "any" else choice.type
    if choice.disable_parallel_tool_use:
        chat["parallel_tool_calls"] = False


def _tool(tool: words.Tool, at: str) -> Json:
    if tool.type not in (None, "custom"):
        raise _foreign(f"{at}.type", "Only tools that the caller runs can be.")
    for name, value in (("name", tool.name), ("input_schema", tool.input_schema)):
        if not value and value != {}:
            raise MissingParameter(f"`{at}.{name}`: is required.", param=f"{at}.{name}")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.input_schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return _cached({"type": "function", "function": function}, tool.cache_control)


def _output(request: words.Request, chat: Json) -> None:
    config = request.output_config or words.OutputConfig()
    if config.format:
        schema = {"name": "answer", "schema": config.format.schema, "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    thinking = request.thinking
    if thinking and thinking.type in ("disabled", "between_tools"):
        chat["reasoning_effort"] = "none"
    elif config.effort:
        chat["reasoning_effort"] = config.effort
    elif thinking and thinking.type == "enabled":
        budget = max(thinking.budget_tokens, 0)
        chat["reasoning_effort"] = next(word for least, word in _BUDGETS if budget >= least)
