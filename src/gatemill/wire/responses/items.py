"""Input items of a responses request as chat messages.

Rule: what one assistant turn said in several items (reasoning, text, calls) becomes one message, so
that results follow their calls. Labels that an answer put on its items (id, status, phase,
annotations, logprobs) are dropped; so is reasoning that only its own provider can read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.errors import InvalidValue, MissingParameter
from gatemill.wire.responses import check, thinking

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.ports import Json

_LABELS = frozenset(("id", "type", "status", "phase"))
_ROLES = ("user", "assistant", "system", "developer")
_CACHE_MARK = "prompt_cache_breakpoint"  # has the same name and place in the hub
_DIRECT = {"type": "direct"}


def messages(instructions: str | None, given: Any) -> list[Json]:
    """The hub's messages. Raises an InvalidRequest kind that names the item at fault."""
    out: list[Json] = []
    if instructions:
        out.append({"role": "system", "content": instructions})
    if isinstance(given, str):
        out.append({"role": "user", "content": given})
        return out
    for item, param in check.array(given, "input"):
        kind = item.get("type") or ("message" if "role" in item else None)
        if kind is None:
            raise MissingParameter(f"`{param}.type`: is required. Name it.", param=f"{param}.type")
        carry = _CARRIED.get(kind) if isinstance(kind, str) else None
        if carry is None:
            what = f"items of type {str(kind)[:60]} cannot be carried over"
            check.refuse(f"{param}.type", what, _RESEND)
        carry(out, item, param)
    if not out:
        raise InvalidValue("`input`: is empty. Send at least one message.", param="input")
    return out


_RESEND = "Send messages, function calls and their outputs in full."


def _message(out: list[Json], item: Json, param: str) -> None:
    check.only(item, _LABELS | {"role", "content"}, param)
    role = check.text(item, "role", param)
    if role not in _ROLES:
        raise InvalidValue(
            f"`{param}.role`: Use user, assistant, system or developer.", param=f"{param}.role"
        )
    said = _content(item.get("content"), f"{param}.content")
    if role != "assistant":
        out.append({"role": role, "content": said})
        return
    turn = _turn(out)
    turn["content"] = said if turn["content"] is None else _joined(turn["content"], said)


def _reasoning(out: list[Json], item: Json, param: str) -> None:
    check.only(item, _LABELS | {"summary", "content", "encrypted_content"}, param)
    texts: list[str] = []
    for name in ("content", "summary"):
        if item.get(name) and not texts:  # a summary only where the reasoning itself is absent
            parts = check.array(item[name], f"{param}.{name}")
            texts = [check.text(part, "text", path) for part, path in parts]
    blocks: list[Json] = []
    if item.get("encrypted_content") is not None:
        sealed = check.text(item, "encrypted_content", param)
        blocks = thinking.unseal(sealed, f"{param}.encrypted_content")
    if not texts and not blocks:
        return
    turn = _turn(out)
    if texts:
        turn["reasoning_content"] = "\n\n".join([*_held(turn, "reasoning_content"), *texts])
    if blocks:
        turn["thinking_blocks"] = [*turn.get("thinking_blocks", ()), *blocks]


def _held(turn: Json, name: str) -> list[str]:
    return [turn[name]] if turn.get(name) else []


def _function_call(out: list[Json], item: Json, param: str) -> None:
    _only_direct(item, {"call_id", "name", "arguments"}, param)
    function = {name: check.text(item, name, param) for name in ("name", "arguments")}
    _called(out, item, param, {"type": "function", "function": function})


def _custom_call(out: list[Json], item: Json, param: str) -> None:
    _only_direct(item, {"call_id", "name", "input"}, param)
    custom = {name: check.text(item, name, param) for name in ("name", "input")}
    _called(out, item, param, {"type": "custom", "custom": custom})


def _called(out: list[Json], item: Json, param: str, call: Json) -> None:
    if not out or out[-1]["role"] != "assistant":
        out.append({"role": "assistant", "content": None})
    calls = out[-1].setdefault("tool_calls", [])
    calls.append({"id": check.text(item, "call_id", param), **call})


def _call_output(out: list[Json], item: Json, param: str) -> None:
    _only_direct(item, {"call_id", "output", "name"}, param)
    said = _content(item.get("output"), f"{param}.output")
    call_id = check.text(item, "call_id", param)
    out.append({"role": "tool", "tool_call_id": call_id, "content": said})


def _only_direct(item: Json, carried: set[str], param: str) -> None:
    # Calls made by OpenAI's own programs carry a caller; those of the model itself say "direct".
    own = {"caller"} if item.get("caller") == _DIRECT else set()
    check.only(item, _LABELS | carried | own, param)


_CARRIED: dict[str, Callable[[list[Json], Json, str], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "function_call_output": _call_output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _call_output,
}


def _turn(out: list[Json]) -> Json:
    """The assistant message that the next text or reasoning belongs to.

    After a finished text that is a new one. After calls it is theirs, because a provider wants
    their results to follow at once.
    """
    last = out[-1] if out else {}
    open_ = last.get("role") == "assistant" and (last["content"] is None or "tool_calls" in last)
    if not open_:
        last = {"role": "assistant", "content": None}
        out.append(last)
    return last


def _joined(first: str | list[Json], second: str | list[Json]) -> list[Json]:
    parts: list[Json] = []
    for said in (first, second):
        parts += [{"type": "text", "text": said}] if isinstance(said, str) else said
    return parts


def _content(value: Any, param: str) -> str | list[Json]:
    """A string, or the hub's parts; a single plain text part is a string to more providers."""
    if isinstance(value, str):
        return value
    if value is None:
        raise MissingParameter(
            f"`{param}`: is required. Send a string or an array of content parts.", param=param
        )
    parts = [_part(part, path) for part, path in check.array(value, param)]
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _part(part: Json, param: str) -> Json:
    kind = check.text(part, "type", param)
    if kind in ("input_text", "output_text", "text"):
        check.only(part, {"type", "text", "annotations", "logprobs", _CACHE_MARK}, param)
        carried: Json = {"type": "text", "text": check.text(part, "text", param)}
    elif kind == "refusal":
        check.only(part, {"type", "refusal"}, param)
        carried = {"type": "refusal", "refusal": check.text(part, "refusal", param)}
    elif kind == "input_image":
        carried = _image(part, param)
    elif kind == "input_file":
        carried = _file(part, param)
    elif kind == "input_audio":
        check.only(part, {"type", "input_audio"}, param)
        carried = {"type": kind, kind: check.obj(part.get(kind), f"{param}.{kind}")}
    else:
        remedy = "Use input_text, input_image, input_file, output_text or refusal."
        check.refuse(f"{param}.type", remedy=remedy)
    if part.get(_CACHE_MARK) is not None:
        carried[_CACHE_MARK] = part[_CACHE_MARK]
    return carried


def _image(part: Json, param: str) -> Json:
    if part.get("file_id") is not None:
        check.refuse(f"{param}.file_id", remedy="Send the picture in `image_url`, as a data URL.")
    check.only(part, {"type", "image_url", "detail", _CACHE_MARK}, param)
    image = {"url": check.text(part, "image_url", param)}
    if part.get("detail") is not None:
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file(part: Json, param: str) -> Json:
    if part.get("file_url") is not None:
        check.refuse(f"{param}.file_url", remedy="Send the file in `file_data`, as a data URL.")
    named = ("file_id", "filename", "file_data")
    automatic = {"detail"} if part.get("detail") == "auto" else set()
    check.only(part, {"type", _CACHE_MARK, *named, *automatic}, param)
    return {"type": "file", "file": {k: part[k] for k in named if part.get(k) is not None}}
