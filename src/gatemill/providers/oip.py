"""Open Inference Protocol, version 2: predictions by Triton, KServe, MLServer and OpenVINO.

Rule: pure; our predict format in, theirs out, and back. The protocol names tensors and says nothing of
labels, and servers differ, so three shapes are read: texts of `{"label", "score"}` (MLServer's and
KServe's Hugging Face runtimes), `score:index:label` (Triton's classification extension), and numbers
with labels of the target's own. Seen 2026-11: kserve/open-inference-protocol, specification/protocol.

A target's model may carry what its server needs to be told, as a query:
`sentiment?version=3&input=TEXT&output=probs&labels=negative,positive`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

import msgspec
from msgspec import Struct

from gatemill.core.errors import UnsupportedOperation, UpstreamBadReply
from gatemill.core.ports import Outgoing
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.ports import Json

INPUT_DEFAULT = "text"
_OPTIONS = ("version", "input", "output", "labels")
_TRITON = re.compile(r"^(-?[0-9.]+(?:[eE][-+]?[0-9]+)?):([0-9]+)(?::(.*))?$", re.DOTALL)
_SUM_SLACK = 1e-3  # of probabilities that were rounded


class Wanted(Struct, frozen=True):
    """What was asked, as far as the answer needs it."""

    texts: int
    top_k: int
    output: str  # name of the tensor to read; "" reads the first that fits
    labels: tuple[str, ...]


class _Body(Struct):
    model: str
    input: str | list[str]
    top_k: int | None = None


class _Tensor(Struct):
    name: str
    datatype: str = ""
    shape: list[int] = []
    data: list[Any] = []


class _Answer(Struct):
    outputs: list[_Tensor]
    model_version: str | None = None


_body = msgspec.json.Decoder(_Body)
_answer = msgspec.json.Decoder(_Answer)

Scores = list[tuple[str, float]]


def request(out: Outgoing) -> tuple[Outgoing, Wanted]:
    """The infer request for a predict request. Raises UnsupportedOperation for any other."""
    if out.path.partition("?")[0] != "/predict":
        raise UnsupportedOperation(
            "The server behind this model speaks the Open Inference Protocol, which only classifies"
            " here. Use /v1/predict.",
            param="model",
        )
    said = _body.decode(out.body)
    name, _, query = said.model.partition("?")
    options = {key: value for key, value in parse_qsl(query) if key in _OPTIONS}
    texts = [said.input] if isinstance(said.input, str) else said.input
    tensor: Json = {
        "name": options.get("input", INPUT_DEFAULT),
        "shape": [len(texts)],
        "datatype": "BYTES",
        "data": texts,
    }
    body: Json = {"inputs": [tensor]}
    output = options.get("output", "")
    if output:
        body["outputs"] = [{"name": output}]
    version = options.get("version", "")
    path = f"/v2/models/{quote(name, safe='')}"
    path += f"/versions/{quote(version, safe='')}/infer" if version else "/infer"
    labels = tuple(one for one in options.get("labels", "").split(",") if one)
    wanted = Wanted(len(texts), said.top_k or 1, output, labels)
    return Outgoing(path, fields.encode(body), out.headers), wanted


def reply(body: bytes, wanted: Wanted) -> bytes:
    """The predict answer for a complete infer answer. Raises UpstreamBadReply."""
    try:
        said = _answer.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply(
            "The server's answer is not the Open Inference Protocol's."
        ) from None
    try:
        rows = _rows(said.outputs, wanted)
    except (ValueError, OverflowError):  # "0.1.2" as a score, or a number of 400 digits
        raise UpstreamBadReply("The server's answer holds a score that is no number.") from None
    if len(rows) != wanted.texts or not all(rows):
        raise UpstreamBadReply("The server's answer does not have one prediction for each text.")
    predictions = []
    for row in rows:
        best = sorted(row, key=lambda pair: -pair[1])[: wanted.top_k]
        label, confidence = best[0]
        shown = [{"label": one, "score": score} for one, score in best]
        predictions.append({"label": label, "confidence": confidence, "scores": shown})
    answer: Json = {"predictions": predictions}
    if said.model_version:
        answer["version"] = said.model_version
    return fields.encode(answer)


def _rows(outputs: Sequence[_Tensor], wanted: Wanted) -> list[Scores]:
    """Labels with scores, for each text."""
    candidates = [one for one in outputs if wanted.output in ("", one.name)]
    for tensor in candidates:
        if tensor.datatype == "BYTES" and (rows := _texts(tensor, wanted)):
            return rows
    for tensor in candidates:
        if tensor.datatype.startswith("FP") and (rows := _numbers(tensor, wanted)):
            return rows
    raise UpstreamBadReply(
        "The server's answer holds no labels with scores. Name the tensor and its labels in the"
        " target: MODEL?output=NAME&labels=a,b."
    )


def _texts(tensor: _Tensor, wanted: Wanted) -> list[Scores]:
    """Rows of texts that hold labels and scores; [] when they hold something else."""
    per_text, rest = divmod(len(tensor.data), wanted.texts)
    if rest or not per_text:
        return []
    rows: list[Scores] = []
    for at in range(wanted.texts):
        row: Scores = []
        for one in tensor.data[at * per_text : (at + 1) * per_text]:
            row += _said(one)
        if not row:
            return []
        rows.append(row)
    return rows


def _said(text: object) -> Scores:
    """What one text says: `0.9:1:label`, or JSON of one label or several; [] for anything else."""
    if not isinstance(text, str):
        return []
    if found := _TRITON.match(text):
        return _scored([(found[3] or found[2], float(found[1]))])
    try:
        read: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return []
    pairs: Scores = []
    for one in read if isinstance(read, list) else [read]:
        if not isinstance(one, dict):
            return []
        label, score = one.get("label"), one.get("score")
        if not isinstance(label, str) or not isinstance(score, (int, float)):
            return []
        pairs.append((label, float(score)))
    return _scored(pairs)


def _numbers(tensor: _Tensor, wanted: Wanted) -> list[Scores]:
    """Rows of numbers, one for each label; [] when their count is another."""
    labels = wanted.labels
    numbers = _flat(tensor.data)
    if not labels or len(numbers) != len(labels) * wanted.texts:
        return []
    width = len(labels)
    rows = [numbers[at : at + width] for at in range(0, len(numbers), width)]
    return [list(zip(labels, _probabilities(row), strict=True)) for row in rows]


def _flat(data: list[Any]) -> list[float]:
    """The numbers of a tensor, which may be nested; [] when anything else is among them."""
    found: list[float] = []
    waiting = list(reversed(data))
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += reversed(one)
        elif isinstance(one, (int, float)) and math.isfinite(one):
            found.append(float(one))
        else:
            return []
    return found


def _probabilities(row: list[float]) -> list[float]:
    """As they are when they add up to 1, else their softmax."""
    if min(row) >= 0 and abs(sum(row) - 1) <= _SUM_SLACK:
        return [min(one, 1.0) for one in row]
    most = max(row)
    powers = [math.exp(one - most) for one in row]
    return [one / sum(powers) for one in powers]


def _scored(pairs: Scores) -> Scores:
    """Pairs whose scores are probabilities; others have no meaning to a caller."""
    if not all(0 <= score <= 1 for _, score in pairs):
        raise UpstreamBadReply(
            "The server's scores are no probabilities. Have it apply a softmax, or read its numbers"
            " with MODEL?output=NAME&labels=a,b."
        )
    return pairs
