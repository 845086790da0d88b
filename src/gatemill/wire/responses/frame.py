"""The response object around its output: what was asked, repeated, with the API's defaults.

Rule: says what is true here, so `store` is false and there is no previous response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.wire.responses import tools

if TYPE_CHECKING:
    from gatemill.core.call import Call, Usage
    from gatemill.core.ports import Json
    from gatemill.wire.responses.hub import Chunk

_DEFAULTS: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}


def response(asked: Json, call: Call, first: Chunk) -> Json:
    """The response in progress; `first` is the first that the hub said."""
    made_s = int(first.created or call.arrived_at)
    out = framed(asked, f"resp_{call.id}", made_s, first.model or call.head.model)
    if first.service_tier is not None:
        out["service_tier"] = first.service_tier
    return out


def framed(asked: Json, response_id: str, made_s: int, model: str) -> Json:
    """The response in progress, before anything is said."""
    out: Json = {
        "id": response_id,
        "object": "response",
        "created_at": made_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "tools": tools.repeated(asked.get("tools")),
    }
    for name, default in _DEFAULTS.items():
        given = asked.get(name)
        out[name] = default if given is None else given
    out["text"] = {**_DEFAULTS["text"], **out["text"]}
    if asked.get("user") is not None:
        out["user"] = asked["user"]
    return out


def usage_object(usage: Usage) -> Json:
    """OpenAI's usage object for responses."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_written,
        },
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


def wants_summary(asked: Json) -> bool:
    """The caller asked for a summary of the reasoning rather than for its text."""
    reasoning = asked.get("reasoning") or {}
    return bool(reasoning.get("summary") or reasoning.get("generate_summary"))
