"""Embeddings: deterministic, ordered, in both encodings."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest

from fake_provider.asking import KEY, ask
from gatemill.fake_provider.embeddings import DIMENSIONS
from gatemill.fake_provider.server import FakeProvider

PATH = "/v1/embeddings"


async def vectors(provider: FakeProvider, given: Any, **more: Any) -> list[Any]:
    seen = await ask(provider, "fake", PATH, input=given, **more)
    assert [item["index"] for item in seen.json["data"]] == list(range(len(seen.json["data"])))
    return [item["embedding"] for item in seen.json["data"]]


async def test_sdk_reads_base64_and_floats_alike(provider: FakeProvider) -> None:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key=KEY) as sdk:
        packed = await sdk.embeddings.create(model="fake", input=["a", "b"])
        plain = await sdk.embeddings.create(model="fake", input=["a", "b"], encoding_format="float")
    formats = [row.body["encoding_format"] for row in provider.journal]
    assert formats == ["base64", "float"]
    assert [item.embedding for item in packed.data] == [item.embedding for item in plain.data]
    assert packed.usage.prompt_tokens == 2


async def test_equal_texts_have_equal_unit_vectors_in_input_order(provider: FakeProvider) -> None:
    first, second, third = await vectors(provider, ["a", "b", "a"])
    assert first == third != second
    assert len(first) == DIMENSIONS
    assert math.hypot(*first) == pytest.approx(1)
    assert await vectors(provider, "a") == [first]


async def test_dimensions_are_honoured(provider: FakeProvider) -> None:
    assert [len(v) for v in await vectors(provider, "a", dimensions=5)] == [5]


async def test_token_lists_are_one_or_several_inputs(provider: FakeProvider) -> None:
    assert len(await vectors(provider, [1, 2, 3])) == 1
    assert len(await vectors(provider, [[1, 2], [3]])) == 2
    assert provider.journal[-1].prompt_tokens == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dimensions", 0),
        ("dimensions", 4097),
        ("dimensions", "5"),
        ("encoding_format", "hex"),
        ("input", {"text": "a"}),
        ("input", ["a"] * 2049),
    ],
)
async def test_wrong_field_is_400_and_named(
    provider: FakeProvider, field: str, value: object
) -> None:
    seen = await ask(provider, "fake", PATH, **{"input": "a", field: value})
    assert (seen.status, seen.json["error"]["param"]) == (400, field)


async def test_no_usage_leaves_out_the_tokens(provider: FakeProvider) -> None:
    assert "usage" not in (await ask(provider, "fake+no-usage", PATH, input="a")).json
