"""Tools of a responses request in the hub's form, and as the response repeats them.

Rule: functions and custom tools are carried; tools that OpenAI runs itself are refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.wire.responses import check

if TYPE_CHECKING:
    from gatemill.core.ports import Json

_FUNCTION = frozenset(("type", "name", "description", "parameters", "strict"))
_CUSTOM = frozenset(("type", "name", "description", "format"))
_GRAMMAR = ("syntax", "definition")


def to_chat(value: Any) -> list[Json]:
    """The hub's tools. Raises UnsupportedParameter and InvalidType."""
    return [_tool(tool, param) for tool, param in check.array(value, "tools")]


def choice_to_chat(value: Any) -> str | Json:
    """The hub's tool_choice. Raises UnsupportedParameter and InvalidType."""
    if isinstance(value, str):
        return value
    choice = check.obj(value, "tool_choice")
    kind = check.text(choice, "type", "tool_choice")
    if kind != "allowed_tools":
        return _named(choice, "tool_choice")
    allowed = check.array(choice.get("tools"), "tool_choice.tools")
    tools = [_named(tool, param) for tool, param in allowed]
    mode = check.text(choice, "mode", "tool_choice")
    return {"type": kind, "allowed_tools": {"mode": mode, "tools": tools}}


def repeated(value: Any) -> list[Json]:
    """The tools as a response shows them: a function says `parameters` and `strict`, even null."""
    tools = []
    for tool in value or ():
        nulls = {"parameters": None, "strict": None} if tool.get("type") == "function" else {}
        tools.append({**nulls, **tool})
    return tools


def _tool(tool: Json, param: str) -> Json:
    kind = _callable(tool, param)
    if kind == "custom":
        check.only(tool, _CUSTOM, param)
        return {"type": kind, "custom": _custom(tool, param)}
    check.only(tool, _FUNCTION, param)
    kept = {k: v for k, v in tool.items() if k in _FUNCTION and k != "type" and v is not None}
    kept["name"] = check.text(tool, "name", param)
    return {"type": kind, "function": kept}


def _custom(tool: Json, param: str) -> Json:
    custom: Json = {"name": check.text(tool, "name", param)}
    if (description := tool.get("description")) is not None:
        custom["description"] = description
    if tool.get("format") is None:
        return custom
    given = check.obj(tool["format"], f"{param}.format")
    if given.get("type") == "grammar":
        grammar = {name: check.text(given, name, f"{param}.format") for name in _GRAMMAR}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    elif given.get("type") == "text":
        custom["format"] = {"type": "text"}
    else:
        check.refuse(f"{param}.format.type", remedy="Use text or grammar.")
    return custom


def _named(choice: Json, param: str) -> Json:
    kind = _callable(choice, param)
    return {"type": kind, kind: {"name": check.text(choice, "name", param)}}


def _callable(tool: Json, param: str) -> str:
    kind = check.text(tool, "type", param)
    if kind not in ("function", "custom"):
        what = f"the tool {kind[:60]} is not run by this model's provider"
        remedy = "Use function or custom tools, or choose a model whose provider has this tool."
        check.refuse(f"{param}.type", what, remedy)
    return kind
