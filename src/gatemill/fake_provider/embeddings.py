"""OpenAI's embeddings. Rule: equal text, equal vector; unit length; order of the input kept."""

from __future__ import annotations

import base64
import hashlib
import math
from array import array
from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidValue
from gatemill.fake_provider.turn import Json, encode, prompt_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

DIMENSIONS = 16  # when the request names none: enough to tell texts apart, short to read
DIMENSIONS_MAX = 4096
INPUTS_MAX = 2048


def embeddings(body: Json, faults: Mapping[str, float]) -> Json:
    """The complete answer. Raises InvalidValue with the field at fault."""
    dimensions = body.get("dimensions", DIMENSIONS)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= DIMENSIONS_MAX:
        raise InvalidValue(f"Choose 1 to {DIMENSIONS_MAX} dimensions.", param="dimensions")
    wanted = body.get("encoding_format", "float")
    if wanted not in {"float", "base64"}:
        raise InvalidValue("Choose `float` or `base64`.", param="encoding_format")
    vectors = [_vector(text, dimensions) for text in _inputs(body["input"])]
    answer: Json = {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": i,
                "embedding": _base64(vector) if wanted == "base64" else vector.tolist(),
            }
            for i, vector in enumerate(vectors)
        ],
        "model": body["model"],
    }
    if "no-usage" not in faults:
        tokens = prompt_tokens({"input": body["input"]})
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return answer


def _inputs(given: object) -> list[bytes]:
    """One item per vector, from a text, texts, tokens or lists of tokens."""
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not 1 <= len(given) <= INPUTS_MAX:
        raise InvalidValue(f"Send a text or a list of 1 to {INPUTS_MAX}.", param="input")
    if all(isinstance(item, int) for item in given):
        given = [given]
    return [item.encode() if isinstance(item, str) else encode(item) for item in given]


def _vector(text: bytes, dimensions: int) -> array[float]:
    """A unit vector of 32-bit floats that depends on every byte of the text."""
    noise = array("H", hashlib.shake_128(text).digest(2 * dimensions))
    values = [number / 32767.5 - 1.0 for number in noise]
    length = math.sqrt(sum(value * value for value in values))
    return array("f", [value / length for value in values])


def _base64(vector: array[float]) -> str:
    """Little-endian 32-bit floats, which every platform that Python runs on today uses natively."""
    return base64.b64encode(vector.tobytes()).decode()
