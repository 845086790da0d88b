"""Bodies of callers on every surface. Rule: a bad one is refused with a 4xx, and nothing else is raised."""

from __future__ import annotations

import msgspec

from gatemill.core.errors import GatemillError, InvalidValue
from gatemill.wire import (
    chat,
    completions,
    count_tokens,
    embeddings,
    fields,
    inference,
    messages,
    predict,
    rerank,
    responses,
)
from gatemill.wire.body import check, check_depth

SURFACES = (
    *(chat, completions, count_tokens, embeddings, messages, responses),
    *(inference, predict, rerank),
)
DEPTH_MAX = 64


def one(data: bytes) -> None:
    """`data`: a byte that says which surface, then the body."""
    surface = SURFACES[(data[:1] or b"\0")[0] % len(SURFACES)]
    body = data[1:]
    try:
        check(body)
        head = surface.head(body)
        check_depth(body, DEPTH_MAX)
    except GatemillError as error:
        if error.status < 500 and len(error.message) < 1000:
            return
        raise
    assert head is not None
    try:
        value = fields.read_object(body)  # whatever passed is JSON, also where nobody looked
    except InvalidValue:  # but for a number that nobody can hold
        return
    assert isinstance(value, dict)
    renamed = fields.renamed(body, "no such name", "m")
    assert msgspec.json.decode(renamed) == {**value, "model": "m"}
