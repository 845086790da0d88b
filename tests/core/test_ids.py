"""Ids: sorted by time, never twice."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gatemill.core import ids

times_s = st.floats(0, 2e9, allow_nan=False)


def test_an_id_is_its_prefix_and_29_hex_digits():
    assert re.fullmatch(r"req_[0-9a-f]{29}", ids.sequence("req_")(1_700_000_000.0))


@given(times_s, times_s)
def test_ids_sort_by_time(first_s, second_s):
    make = ids.sequence("req_")
    first, second = make(first_s), make(second_s)
    if int(first_s * 1000) != int(second_s * 1000):
        assert (first < second) == (first_s < second_s)
    else:
        assert first < second
    assert len(first) == len(second)


def test_ids_of_one_moment_never_repeat_and_keep_their_order():
    make = ids.sequence("req_")
    made = [make(1_700_000_000.0) for _ in range(20_000)]
    assert made == sorted(set(made))


def test_two_processes_are_kept_apart():
    left, right = ids.sequence("req_"), ids.sequence("req_")
    assert left(1.0) != right(1.0)


def test_the_width_holds_for_centuries():
    make = ids.sequence("")
    assert len(make(0.0)) == len(make(17_000_000_000.0)) == 29


def test_unguessable_ids_sort_by_time_and_order_and_share_nothing_else():
    make = ids.unguessable("job_")
    found = [make(1_700_000_000.0) for _ in range(1000)]
    found.append(make(1_700_000_000.001))
    assert found == sorted(found)
    assert len({one[-20:] for one in found}) == len(found)
    assert {len(one) for one in found} == {len("job_") + 11 + 6 + 20}
