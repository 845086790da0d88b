"""The hub's request as a Messages request.

Rule: what would change the answer's meaning is refused; a hint is reported, or refused where the
target says so (refuse_hints). A neutral value counts as absent, because clients send them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.errors import InvalidValue, MissingParameter, UnsupportedParameter
from gatemill.providers.anthropic import chat_request
from gatemill.providers.anthropic.chat_request import Request
from gatemill.providers.anthropic.tools import tool_choice, tools
from gatemill.providers.anthropic.turns import Script
from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.core.call import Call, Target
    from gatemill.core.ports import Json

# Dropping these would give another answer than the one asked for.
_REFUSED = {
    "n": "Ask once for each choice.",
    "logprobs": "Anthropic's models give no log probabilities.",
    "top_logprobs": "Anthropic's models give no log probabilities.",
    "modalities": "Anthropic's models answer in text.",
    "audio": "Anthropic's models answer in text.",
    "web_search_options": "Search is no part of a translated request; use /v1/messages for it.",
    "moderation": "Anthropic's models give no moderation results.",
}
# Values that ask for what happens anyway, beside null. All other unknown fields are hints.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "modalities": (["text"],),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "store": (False,),
    "logit_bias": ({},),
    "metadata": ({},),
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
}
_EFFORTS = {
    "minimal": "low",  # Anthropic has nothing below low; reported
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}


def encode(chat: Json, call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The upstream's body, and the hints it cannot carry. Raises InvalidRequest and its kinds."""
    hints = _hints(chat)
    request = chat_request.read(chat)
    script = Script()
    script.read(request.messages)
    hints.update(script.hints)
    output_max = request.max_completion_tokens or request.max_tokens
    body: Json = {
        "model": target.model,
        "max_tokens": output_max or target.settings.output_default,
    }
    if script.system:
        body["system"] = script.system
    body["messages"] = script.turns
    _tools(request, body)
    _sampling(request, body, hints)
    _reasoning(request, body, hints)
    _format(request, body)
    if user := request.safety_identifier or request.user:
        body["metadata"] = {"user_id": user}
    if call.head.stream:
        body["stream"] = True
    if hints and target.settings.refuse_hints:
        name = next(iter(hints))
        raise UnsupportedParameter(
            f"`{name}` cannot be carried to this model. Remove it, or let the target report it"
            " instead (refuse_hints = false).",
            param=name,
        )
    return fields.encode(body), tuple(hints)


def _hints(chat: Json) -> dict[str, None]:
    hints: dict[str, None] = {}
    for name, value in chat.items():
        if value is None or name in chat_request.FIELDS or value in _NEUTRAL.get(name, ()):
            continue
        if name in _REFUSED:
            raise UnsupportedParameter(
                f"`{name}` cannot be carried to Anthropic's models. {_REFUSED[name]}", param=name
            )
        hints[name] = None
    return hints


def _tools(request: Request, body: Json) -> None:
    if specs := tools(request):
        body["tools"] = specs
    if choice := tool_choice(request):
        body["tool_choice"] = choice


def _sampling(request: Request, body: Json, hints: dict[str, None]) -> None:
    """Sampling that differs from the default 1: newer models refuse the fields altogether."""
    if request.temperature is not None and request.temperature > 1:
        # OpenAI's range ends at 2, Anthropic's at 1, which is the default. Nothing hotter exists.
        hints["temperature"] = None
    elif request.temperature not in (None, 1):
        body["temperature"] = request.temperature
    if request.top_p not in (None, 1):
        body["top_p"] = request.top_p
    if request.top_k is not None:
        body["top_k"] = request.top_k
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    if any(not stop.strip() for stop in stops):
        raise UnsupportedParameter(
            "`stop`: Anthropic's models take no stop sequence of white space alone. Remove it.",
            param="stop",
        )
    if stops:
        body["stop_sequences"] = stops


def _reasoning(request: Request, body: Json, hints: dict[str, None]) -> None:
    """Effort as output_config.effort with adaptive thinking, which all models since 4.6 take.

    An explicit `thinking` goes out as it is, for models that want a budget. A forced tool excludes
    thinking at Anthropic, so that effort then stands alone.
    """
    if request.thinking is not None:
        body["thinking"] = request.thinking
    effort = request.reasoning_effort
    if effort is None:
        return
    if effort == "none":
        body.setdefault("thinking", {"type": "disabled"})
        return
    if effort not in _EFFORTS:
        raise InvalidValue(
            "`reasoning_effort`: must be none, minimal, low, medium, high, xhigh or max.",
            param="reasoning_effort",
        )
    if effort == "minimal":
        hints["reasoning_effort"] = None
    if body.get("tool_choice", {}).get("type") not in ("any", "tool"):
        body.setdefault("thinking", {"type": "adaptive"})
    body["output_config"] = {"effort": _EFFORTS[effort]}


def _format(request: Request, body: Json) -> None:
    asked = request.response_format
    if asked is None or asked.type == "text":
        return
    if asked.type != "json_schema":
        raise UnsupportedParameter(
            "`response_format.type`: Anthropic's models take a schema only. Use json_schema.",
            param="response_format.type",
        )
    schema = asked.json_schema.schema if asked.json_schema else None
    if schema is None:
        raise MissingParameter(
            "`response_format.json_schema.schema`: is required by Anthropic's models.",
            param="response_format.json_schema.schema",
        )
    config = body.setdefault("output_config", {})
    config["format"] = {"type": "json_schema", "schema": schema}
