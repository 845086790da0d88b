"""safetensors -> ONNX, with torch (extra `torch`). Rule: a process of its own; no gateway imports this."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import ModelLoadFailed
from gatemill.local.extras import needed
from gatemill.local.manifest import SETTINGS, files
from gatemill.local.sources import check_format

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLASSES = {
    "embed": ("AutoModel", "last_hidden_state"),
    "classify": ("AutoModelForSequenceClassification", "logits"),
    "rerank": ("AutoModelForSequenceClassification", "logits"),
}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OPSET = 17


def export(folder: Path, target: Path, task: str, *, int8: bool) -> Sequence[Path]:
    """The graphs that were written: model.onnx, and model_int8.onnx where that is wanted.

    Tokenizer and settings are copied. Raises ModelLoadFailed, ExtraNotInstalled.
    """
    if task not in _CLASSES:
        raise ModelLoadFailed(f"`{task}` is not exported; {', '.join(_CLASSES)} are.")
    check_format(folder, "torch")
    torch, transformers = needed("torch", "torch"), needed("transformers", "torch")
    name, output = _CLASSES[task]
    try:
        model = getattr(transformers, name).from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, attn_implementation="eager"
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelLoadFailed(f"`{folder}` is no model that transformers loads: {error}") from error
    target.mkdir(parents=True, exist_ok=True)
    for path in files(folder):
        if path.name.endswith(SETTINGS):
            place = target / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    tokenizer.save_pretrained(target)  # writes tokenizer.json where there was none
    graph = target / "model.onnx"
    _trace(torch, model.eval(), tokenizer, (graph, output))
    return (graph, _quantized(graph)) if int8 else (graph,)


def _trace(torch: Any, model: Any, tokenizer: Any, wanted: tuple[Path, str]) -> None:
    graph, output = wanted
    sample = tokenizer("a text to follow", "another", return_tensors="pt")
    inputs = [name for name in _INPUTS if name in sample]

    class Plain(torch.nn.Module):
        """The one output, for inputs in their order."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *given: Any) -> Any:
            """[batch, tokens] int64 each."""
            return getattr(self.model(**dict(zip(inputs, given, strict=True))), output)

    axes = {name: {0: "batch", 1: "tokens"} for name in inputs}
    axes[output] = {0: "batch"} if output == "logits" else {0: "batch", 1: "tokens"}
    with torch.no_grad():
        torch.onnx.export(
            Plain(),
            tuple(sample[name] for name in inputs),
            str(graph),
            input_names=inputs,
            output_names=[output],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )


def _quantized(graph: Path) -> Path:
    quantization = needed("onnxruntime.quantization", "torch")
    target = graph.with_name("model_int8.onnx")
    # A scale for each channel: MiniLM's vectors keep a cosine of 0.97 to 0.99 with the original's, where
    # one scale for all gives 0.87 to 0.97. Seven bits, as processors without VNNI overflow with eight.
    quantization.quantize_dynamic(
        str(graph),
        str(target),
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
    )
    return target
