"""Tensors of 32-bit floats as safetensors, and back. Rule: nothing in the bytes is believed.

Source: the format's description, https://github.com/huggingface/safetensors (seen 2026-11).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from gatemill.core.errors import ModelLoadFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_BYTES_MAX = 1 << 20
_METADATA = "__metadata__"
_Count = Annotated[int, Meta(ge=0, le=1 << 31)]


class Tensor(Struct, frozen=True):
    """Little-endian 32-bit floats, row by row."""

    shape: tuple[int, ...]
    data: bytes


class _Place(Struct):
    dtype: str
    shape: Annotated[list[_Count], Meta(max_length=8)]
    data_offsets: tuple[_Count, _Count]


_head = msgspec.json.Decoder(dict[str, msgspec.Raw])
_place = msgspec.json.Decoder(_Place)
_metadata = msgspec.json.Decoder(dict[str, str])


def written(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The file; equal tensors and metadata give equal bytes."""
    head: dict[str, object] = {_METADATA: dict(sorted(metadata.items()))}
    at = 0
    for name, tensor in tensors.items():
        end = at + len(tensor.data)
        head[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": (at, end)}
        at = end
    text = msgspec.json.encode(head)
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8
    return b"".join(
        (len(text).to_bytes(8, "little"), text, *(tensor.data for tensor in tensors.values()))
    )


def read(file: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Its tensors and its metadata. Raises ModelLoadFailed for anything that is not whole or not F32."""
    size = int.from_bytes(file[:8], "little")
    if len(file) < 8 or not 0 < size <= min(HEAD_BYTES_MAX, len(file) - 8):
        raise _broken()
    data = memoryview(file)[8 + size :]
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    try:
        for name, raw in _head.decode(file[8 : 8 + size]).items():
            if name == _METADATA:
                metadata = _metadata.decode(raw)
                continue
            place = _place.decode(raw)
            start, end = place.data_offsets
            if place.dtype != "F32" or not start <= end <= len(data):
                raise _broken()
            if end - start != 4 * math.prod(place.shape):
                raise _broken()
            tensors[name] = Tensor(tuple(place.shape), bytes(data[start:end]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _broken() from None
    return tensors, metadata


def _broken() -> ModelLoadFailed:
    return ModelLoadFailed("The weights are no safetensors of 32-bit floats, or not whole.")
