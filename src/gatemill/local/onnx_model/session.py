"""An ONNX graph and its run. Rule: one thread per run; several runs at once share the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gatemill.core.errors import ModelLoadFailed, UpstreamError
from gatemill.local.extras import needed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy import ndarray

    from gatemill.local.onnx_model.encoding import Encoded

OVERHEAD_BYTES = 33_554_432  # of a session besides its weights: arenas, optimised copies
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_FOLDERS = ("", "onnx")
_DEVICES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_FILES = {  # by dtype, the names that exporters give
    "auto": ("model.onnx", "model_int8.onnx", "model_quantized.onnx"),
    "float32": ("model.onnx",),
    "int8": ("model_int8.onnx", "model_quantized.onnx"),
    "float16": ("model_fp16.onnx",),
}


class Session:
    """A loaded graph."""

    def __init__(self, session: Any, errors: tuple[type[Exception], ...], output: str) -> None:
        self._session = session
        self._errors = errors
        self._output = output
        self._types = {one.name: one.type for one in session.get_inputs()}

    def run(self, inputs: Sequence[Encoded]) -> tuple[ndarray, ndarray]:
        """The output [batch, ...] float32, and the attention mask [batch, tokens] int64.

        Raises UpstreamError when the graph fails.
        """
        longest = max(len(one.ids) for one in inputs)
        arrays = {name: np.zeros((len(inputs), longest), np.int64) for name in _INPUTS}
        for row, one in enumerate(inputs):
            count = len(one.ids)
            arrays["input_ids"][row, :count] = one.ids
            arrays["attention_mask"][row, :count] = 1
            arrays["token_type_ids"][row, :count] = one.types
        feed = {
            name: arrays[name].astype(np.int32) if kind == "tensor(int32)" else arrays[name]
            for name, kind in self._types.items()
        }
        try:
            (found,) = self._session.run([self._output], feed)
        except self._errors as error:
            raise UpstreamError("The model failed on this input. See the log.") from error
        return np.asarray(found, np.float32), arrays["attention_mask"]


def graph_of(folder: Path, name: str, dtype: str) -> Path:
    """The file of the graph. Raises ModelLoadFailed."""
    if dtype not in _FILES:
        raise ModelLoadFailed(f"dtype `{dtype}`: there are {', '.join(_FILES)}.")
    names = (name,) if name else _FILES[dtype]
    for wanted in names:
        for inner in _FOLDERS:
            path = folder / inner / wanted
            if path.is_file():
                return path
    found = sorted(folder.rglob("*.onnx"))
    if not name and dtype == "auto" and len(found) == 1:
        return found[0]
    there = ", ".join(path.name for path in found[:5]) or "no .onnx file"
    raise ModelLoadFailed(f"`{folder}` has no {' or '.join(names)}; there is {there}.")


def size_bytes(graph: Path) -> int:
    """About what the graph takes once it is loaded."""
    beside = (graph.with_name(graph.name + end) for end in ("_data", ".data"))
    weights = graph.stat().st_size + sum(path.stat().st_size for path in beside if path.is_file())
    return weights + weights // 4 + OVERHEAD_BYTES


def session_of(graph: Path, device: str, outputs: tuple[str, ...]) -> Session:
    """The graph, ready to run; reads the file and takes a while. `outputs` in order of preference.

    Raises ModelLoadFailed, ExtraNotInstalled.
    """
    runtime = needed("onnxruntime", "local")
    state = needed("onnxruntime.capi.onnxruntime_pybind11_state", "local")
    errors = tuple(
        kind
        for kind in vars(state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(
            str(graph), sess_options=options, providers=_providers(runtime, device)
        )
    except errors as error:
        raise ModelLoadFailed(f"`{graph}` is no graph that ONNX Runtime loads.") from error
    inputs = {one.name for one in session.get_inputs()}
    odd = sorted(inputs - set(_INPUTS))
    if odd or "input_ids" not in inputs:
        raise ModelLoadFailed(
            f"`{graph}` takes {', '.join(sorted(inputs))}; what it may take is {', '.join(_INPUTS)}."
        )
    names = [one.name for one in session.get_outputs()]
    output = next((name for name in outputs if name in names), names[0])
    return Session(session, errors, output)


def _providers(runtime: Any, device: str) -> list[str]:
    there = runtime.get_available_providers()
    if device == "auto":
        device = "cuda" if _DEVICES["cuda"] in there else "cpu"
    wanted = _DEVICES.get(device)
    if wanted is None or wanted not in there:
        raise ModelLoadFailed(
            f"device `{device}`: ONNX Runtime here runs on {', '.join(there)}."
            + (" pip install onnxruntime-gpu" if device == "cuda" else "")
        )
    return [wanted] if device == "cpu" else [wanted, _DEVICES["cpu"]]
