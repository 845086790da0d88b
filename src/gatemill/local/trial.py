"""A first request to a model that has just been loaded. Rule: what answers it, answers others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.call import Timeouts
from gatemill.core.errors import GatemillError, ModelLoadFailed
from gatemill.core.ports import Outgoing
from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.core.model import ModelSpec
    from gatemill.core.ports import Incoming, Json
    from gatemill.local.parts import Runtime

PROBE_S = 120.0
_TEXT = "probe"
_TIMEOUTS = Timeouts(first_token_s=PROBE_S, total_s=PROBE_S)


class _Error(Struct, frozen=True):
    message: str = ""


class _Refusal(Struct):
    error: _Error = _Error()


async def try_out(spec: ModelSpec, runtime: Runtime, now_s: float) -> None:
    """The model has answered a request of its task. Raises ModelLoadFailed."""
    said = ""
    for path, body in _requests(spec):
        out = Outgoing(path, fields.encode({"model": spec.name, **body}))
        try:
            answer = await runtime.exchange(out, _TIMEOUTS, now_s + PROBE_S)
        except GatemillError as error:
            said = error.message
            continue
        if 200 <= answer.status < 300:
            return
        said = _reason(answer)
    raise ModelLoadFailed(f"The model `{spec.name}` was loaded and fails a first request: {said}")


def _requests(spec: ModelSpec) -> list[tuple[str, Json]]:
    """One of these has to be answered."""
    own = spec.options.get("probe")
    if spec.task == "embed":
        return [("/embeddings", {"input": _TEXT})]
    if spec.task == "classify":
        return [("/predict", own if isinstance(own, dict) else {"input": _TEXT})]
    if spec.task == "rerank":
        return [("/rerank", {"query": _TEXT, "documents": [_TEXT]})]
    message = {"role": "user", "content": _TEXT}
    return [  # a model without a chat template completes texts only
        ("/chat/completions", {"messages": [message], "max_tokens": 1}),
        ("/completions", {"prompt": _TEXT, "max_tokens": 1}),
    ]


def _reason(answer: Incoming) -> str:
    try:
        said = msgspec.json.decode(answer.body, type=_Refusal).error.message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = ""
    return said or f"it answered {answer.status}."
