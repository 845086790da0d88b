"""Small transformers as ONNX graphs, made without torch: attention, mask, two sizes, random weights.

Padding does not change an answer, as in a real one, so what is batched can be compared with what is not.
"""

from __future__ import annotations

import functools
import json
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from msgspec import Struct
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

_SAID = (
    "the a good bad great awful movie film day night cat dog sat on mat is was not very really i we"
    " liked hated loved it this that one two three gateway model key limit budget ledger request"
)
WORDS = tuple(_SAID.split())
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


class Size(Struct, frozen=True):
    """Of the encoder."""

    layers: int = 2
    width: int = 32
    heads: int = 2
    positions: int = 64


SMALL = Size()


def folder(
    path: Path,
    task: str = "embed",
    size: Size = SMALL,
    labels: tuple[str, ...] = ("bad", "good"),
    words: Sequence[str] = WORDS,
) -> Path:
    """A model's folder: model.onnx, tokenizer.json, config.json."""
    path.mkdir(parents=True, exist_ok=True)
    tokenizer(words).save(str(path / "tokenizer.json"))
    config: dict[str, object] = {"max_position_embeddings": size.positions, "model_type": "bert"}
    outputs = 0
    if task == "classify":
        config["id2label"] = {str(index): label for index, label in enumerate(labels)}
        outputs = len(labels)
    elif task == "rerank":
        outputs = 1
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.onnx").write_bytes(graph(size, outputs))
    return path


def tokenizer(words: Sequence[str] = WORDS) -> Tokenizer:
    """Word pieces: these words, and letters for all others."""
    pieces = [*SPECIAL, *words, *string.ascii_lowercase, *string.digits]
    pieces += [f"##{letter}" for letter in string.ascii_lowercase + string.digits]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    found = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(lowercase=True)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return found


@functools.cache
def graph(size: Size, outputs: int) -> bytes:
    """The graph; `outputs` logits of the first token, or token vectors when there are none."""
    made = _Graph(size)
    hidden = made.embed()
    for layer in range(size.layers):
        hidden = made.layer(hidden, f"l{layer}_")
    name, shape = "last_hidden_state", ["batch", "tokens", size.width]
    if outputs:
        made.constant("first", np.array(0, np.int64))
        made.node("Gather", [hidden, "first"], "cls", axis=1)
        made.linear("cls", "logits", size.width, outputs)
        name, shape = "logits", ["batch", outputs]
    else:
        made.node("Identity", [hidden], name)
    return made.model(name, shape)


class _Graph:
    def __init__(self, size: Size) -> None:
        self._size = size
        self._rng = np.random.default_rng(7)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        for name, value in {
            "scale": 1 / np.sqrt(size.width // size.heads),
            "one": 1.0,
            "far": -1e9,
        }.items():
            self.constant(name, np.array(value, np.float32))

    def constant(self, name: str, value: np.ndarray) -> str:
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def weights(self, name: str, *shape: int) -> str:
        return self.constant(name, self._rng.normal(0, 0.4, shape).astype(np.float32))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def linear(self, x: str, output: str, width: int, to: int) -> str:
        self.weights(f"{output}_w", width, to)
        self.weights(f"{output}_b", to)
        self.node("MatMul", [x, f"{output}_w"], f"{output}_m")
        return self.node("Add", [f"{output}_m", f"{output}_b"], output)

    def normed(self, x: str, output: str) -> str:
        self.constant(f"{output}_g", np.ones(self._size.width, np.float32))
        self.constant(f"{output}_z", np.zeros(self._size.width, np.float32))
        return self.node("LayerNormalization", [x, f"{output}_g", f"{output}_z"], output, axis=-1)

    def embed(self) -> str:
        """Tokens, types and positions; the mask as what is added to scores."""
        size = self._size
        self.weights("words", 256, size.width)
        self.weights("kinds", 2, size.width)
        self.weights("places", size.positions, size.width)
        self.node("Gather", ["words", "input_ids"], "w")
        self.node("Gather", ["kinds", "token_type_ids"], "k")
        for name, value in {"zero1": [0], "one1": [1], "two1": [2]}.items():
            self.constant(name, np.array(value, np.int64))
        self.node("Shape", ["input_ids"], "shape")
        self.node("Slice", ["shape", "one1", "two1"], "count")
        self.node("Slice", ["places", "zero1", "count", "zero1"], "p")
        self.node("Add", ["w", "k"], "wk")
        self.node("Add", ["wk", "p"], "wkp")
        self.node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        self.node("Sub", ["one", "mask"], "unmask")
        self.constant("axes", np.array([1, 2], np.int64))
        self.node("Unsqueeze", ["unmask", "axes"], "unmask4")
        self.node("Mul", ["unmask4", "far"], "bias")
        return self.normed("wkp", "h")

    def layer(self, x: str, prefix: str) -> str:
        size = self._size
        width, deep = size.width, size.width // size.heads
        shape = self.constant(f"{prefix}split", np.array([0, 0, size.heads, deep], np.int64))
        split = {}
        for part in "qkv":
            self.linear(x, f"{prefix}{part}", width, width)
            self.node("Reshape", [f"{prefix}{part}", shape], f"{prefix}{part}4")
            order = (0, 2, 3, 1) if part == "k" else (0, 2, 1, 3)
            split[part] = self.node(
                "Transpose", [f"{prefix}{part}4"], f"{prefix}{part}t", perm=order
            )
        self.node("MatMul", [split["q"], split["k"]], f"{prefix}raw")
        self.node("Mul", [f"{prefix}raw", "scale"], f"{prefix}scaled")
        self.node("Add", [f"{prefix}scaled", "bias"], f"{prefix}masked")
        self.node("Softmax", [f"{prefix}masked"], f"{prefix}shares", axis=-1)
        self.node("MatMul", [f"{prefix}shares", split["v"]], f"{prefix}mixed")
        self.node("Transpose", [f"{prefix}mixed"], f"{prefix}back", perm=(0, 2, 1, 3))
        joined = self.constant(f"{prefix}join", np.array([0, 0, width], np.int64))
        self.node("Reshape", [f"{prefix}back", joined], f"{prefix}flat")
        self.linear(f"{prefix}flat", f"{prefix}out", width, width)
        self.node("Add", [x, f"{prefix}out"], f"{prefix}sum")
        middle = self.normed(f"{prefix}sum", f"{prefix}n1")
        self.linear(middle, f"{prefix}up", width, 4 * width)
        self.node("Relu", [f"{prefix}up"], f"{prefix}relu")
        self.linear(f"{prefix}relu", f"{prefix}down", 4 * width, width)
        self.node("Add", [middle, f"{prefix}down"], f"{prefix}sum2")
        return self.normed(f"{prefix}sum2", f"{prefix}n2")

    def model(self, output: str, shape: list[object]) -> bytes:
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
        made = helper.make_graph(self._nodes, "encoder", inputs, outputs, self._constants)
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        found: bytes = model.SerializeToString()
        return found
