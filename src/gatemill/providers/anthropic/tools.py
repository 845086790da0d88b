"""The hub's tools and tool choice as Anthropic's. Rule: legacy functions are tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.errors import InvalidValue, UnsupportedParameter
from gatemill.providers.anthropic.chat_request import FunctionSpec, Request

if TYPE_CHECKING:
    from gatemill.core.ports import Json

_CHOICES = {"none": "none", "auto": "auto", "required": "any"}


def tools(request: Request) -> list[Json]:
    """Anthropic's tool definitions."""
    out = []
    for number, tool in enumerate(request.tools or ()):
        if tool.function is None or tool.type != "function":
            param = f"tools.{number}.type"
            raise UnsupportedParameter(
                f"`{param}`: Anthropic's models take only functions. Use type function.",
                param=param,
            )
        spec = _tool(tool.function)
        if tool.cache_control is not None:
            spec["cache_control"] = tool.cache_control
        out.append(spec)
    return out + [_tool(function) for function in request.functions or ()]


def _tool(function: FunctionSpec) -> Json:
    spec: Json = {"name": function.name}
    if function.description is not None:
        spec["description"] = function.description
    spec["input_schema"] = function.parameters or {"type": "object", "properties": {}}
    if function.strict:
        spec["strict"] = True
    return spec


def tool_choice(request: Request) -> Json | None:
    """Anthropic's tool choice; None leaves it to the default, which is auto in both formats."""
    param = "tool_choice" if request.tool_choice is not None else "function_call"
    asked = request.tool_choice if request.tool_choice is not None else request.function_call
    choice = _choice(asked, param)
    if not (request.tools or request.functions):
        if choice and choice["type"] not in ("none", "auto"):
            raise InvalidValue(f"`{param}`: needs `tools`. Send the tools too.", param=param)
        return None
    if request.parallel_tool_calls is False and (choice is None or choice["type"] != "none"):
        return {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


def _choice(asked: str | dict[str, Any] | None, param: str) -> Json | None:
    if asked is None:
        return None
    if isinstance(asked, str):
        if asked not in _CHOICES:
            raise InvalidValue(
                f"`{param}`: must be none, auto, required or a named function.", param=param
            )
        return {"type": _CHOICES[asked]}
    if asked.get("type", "function") != "function":
        raise UnsupportedParameter(
            f"`{param}.type`: only a named function can be carried to Anthropic's models.",
            param=f"{param}.type",
        )
    function = asked if param == "function_call" else asked.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidValue(f"`{param}`: must name a function.", param=param)
    return {"type": "tool", "name": name}
