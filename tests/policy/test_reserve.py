"""The worst case of a request."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.call import Price, Usage
from gatemill.core.money import microusd
from gatemill.policy import reserve
from gatemill.policy.price import cost_pico

FLAT = Price(1_000_000, 2_000_000, 500_000, 1_500_000, 2_500_000, 3_000_000, 4_000_000)
TIERED = Price(10, 20, 1, 12, 12, 10, 20, 7, 0, (Price(5, 90, 5, 5, 5, 5, 90, 0, 100),))
counts = st.integers(0, 3_000)


def test_a_picture_counts_once_and_its_data_not_at_all():
    data = "data:image/png;base64," + base64.b64encode(bytes(900)).decode()
    body = {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": data}}]},
            {"role": "user", "content": [{"type": "text", "text": "what is it?"}]},
        ]
    }
    assert reserve.has_attachments(msgspec.json.encode(body))
    assert reserve.attachments(body) == (1, len(data))


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"type": "input_image", "image_url": "data:xx"}, (1, 7)),
        ({"type": "image", "source": {"type": "base64", "data": "abcd"}}, (1, 4)),
        ({"type": "image", "source": {"type": "url", "url": "https://h/i.png"}}, (1, 15)),
        ({"type": "image_url"}, (1, 0)),
        ({"type": "image_url", "image_url": 7}, (1, 0)),
        ({"type": "input_audio", "input_audio": {"data": "abcd"}}, (1, 0)),
        ({"type": "document", "source": {"data": "abcd"}}, (1, 0)),
        ({"type": "text", "text": "image"}, (0, 0)),
    ],
)
def test_every_kind_of_attachment_is_found(part: dict[str, object], found: tuple[int, int]):
    assert reserve.attachments({"messages": [{"content": [part]}]}) == found


def test_a_text_that_only_mentions_pictures_is_looked_at_and_counts_as_text():
    body = {"messages": [{"role": "user", "content": 'say "image" twice'}], "tags": ["image"]}
    assert reserve.has_attachments(msgspec.json.encode(body))
    assert reserve.attachments(body) == (0, 0)
    assert not reserve.has_attachments(b'{"messages": [{"role": "user", "content": "hi"}]}')


@pytest.mark.parametrize("price", [FLAT, TIERED])
@given(
    buckets=st.tuples(*[counts] * 8),
    spare=st.tuples(counts, counts),
)
def test_no_usage_within_the_reserve_costs_more_than_it(
    price: Price, buckets: tuple[int, ...], spare: tuple[int, int]
):
    usage = Usage(*buckets)
    worst = reserve.worst_microusd(price, usage.prompt + spare[0], usage.completion + spare[1])
    assert microusd(cost_pico(price, usage)) <= worst


def test_no_reserve_is_larger_than_every_counter_holds():
    assert reserve.worst_microusd(FLAT, 10**30, 10**30) == reserve.MICROUSD_MAX


def test_a_part_of_a_microdollar_is_reserved_whole():
    assert reserve.worst_microusd(Price(1, 0, 0, 0, 0, 0, 0), 1, 0) == 1
    assert reserve.worst_microusd(Price(0, 0, 0, 0, 0, 0, 0), 10, 10) == 0
