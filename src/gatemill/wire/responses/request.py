"""A responses request as a chat completion request.

Rule: every field is carried, or refused by its name; those that ask for nothing pass. Fields about
storing (`store`) have no effect, because translated responses are not stored and say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.wire import fields
from gatemill.wire.responses import check, items, tools

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.ports import Json

# Same name and meaning in the hub.
_SAME = (
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "metadata",
    "user",
    "safety_identifier",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
)
_CARRIED = frozenset(_SAME) | {
    "model",
    "input",
    "instructions",
    "stream",
    "stream_options",
    "max_output_tokens",
    "top_logprobs",
    "tools",
    "tool_choice",
    "text",
    "reasoning",
    "include",
    "store",
    "truncation",
    "max_tool_calls",  # counts built-in tools, and those are refused
}
_RESEND = "Send the earlier items in `input`: this model's provider stores no responses."
_REMEDIES = {
    "previous_response_id": _RESEND,
    "conversation": _RESEND,
    "prompt": "Send the prompt's text in `instructions` or `input`.",
    "background": "Send it without this field and wait for the answer, or stream it.",
    "context_management": "Shorten `input` before you send it.",
    "moderation": "Call a moderation model on its own.",
}
_LOGPROBS = "message.output_text.logprobs"
_INCLUDES = frozenset(
    (
        _LOGPROBS,
        "reasoning.encrypted_content",
        # Parts of built-in tools' output, which there cannot be: asking for them changes nothing.
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "computer_call_output.output.image_url",
        "code_interpreter_call.outputs",
    )
)


def to_chat(body: bytes, call: Call) -> Json:
    """The hub's request. Raises UnsupportedParameter for what the hub cannot express."""
    asked = fields.read_object(body)
    _refuse(asked)
    chat: Json = {"model": call.head.model}
    chat["messages"] = items.messages(asked.get("instructions"), asked.get("input"))
    chat |= {name: asked[name] for name in _SAME if asked.get(name) is not None}
    if asked.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = asked["max_output_tokens"]
    if asked.get("tools"):
        chat["tools"] = tools.to_chat(asked["tools"])
    if asked.get("tool_choice") is not None:
        chat["tool_choice"] = tools.choice_to_chat(asked["tool_choice"])
    chat |= _text(asked.get("text"))
    chat |= _reasoning(asked.get("reasoning"))
    chat |= _logprobs(asked)
    if call.head.stream:
        chat["stream"] = True
    return chat


def _refuse(asked: Json) -> None:
    for name, remedy in _REMEDIES.items():
        if asked.get(name):
            check.refuse(name, remedy=remedy)
    check.only(asked, _CARRIED)
    if asked.get("truncation") not in (None, "disabled"):
        check.refuse("truncation", remedy="Use disabled and shorten `input` before you send it.")
    if asked.get("stream_options") is not None:
        # Without padding is how translated streams are; with it cannot be promised.
        check.only(check.obj(asked["stream_options"], "stream_options"), set(), "stream_options")


def _text(value: Any) -> Json:
    if value is None:
        return {}
    given = check.obj(value, "text")
    check.only(given, {"format", "verbosity"}, "text")
    chat: Json = {}
    if given.get("verbosity") is not None:
        chat["verbosity"] = given["verbosity"]
    if given.get("format") is None:
        return chat
    wanted = check.obj(given["format"], "text.format")
    kind = check.text(wanted, "type", "text.format")
    if kind == "json_schema":
        named = {k: v for k, v in wanted.items() if k != "type" and v is not None}
        check.only(named, {"name", "schema", "strict", "description"}, "text.format")
        chat["response_format"] = {"type": kind, "json_schema": named}
    elif kind == "json_object":
        chat["response_format"] = {"type": kind}
    elif kind != "text":
        check.refuse("text.format.type", remedy="Use text, json_object or json_schema.")
    return chat


def _reasoning(value: Any) -> Json:
    # `summary` decides where the answer puts the provider's reasoning: see output.Reasoning.
    if value is None:
        return {}
    given = check.obj(value, "reasoning")
    check.only(given, {"effort", "summary", "generate_summary"}, "reasoning")
    effort = given.get("effort")
    return {} if effort is None else {"reasoning_effort": effort}


def _logprobs(asked: Json) -> Json:
    wanted = False
    for index, name in enumerate(check.strings(asked.get("include") or [], "include")):
        if name not in _INCLUDES:
            check.refuse(f"include.{index}")
        wanted = wanted or name == _LOGPROBS
    count = asked.get("top_logprobs")
    if not wanted and not count:
        return {}
    return {"logprobs": True, **({"top_logprobs": count} if count else {})}
