"""Clocks: the machine's and the one that tests move."""

from __future__ import annotations

import time

from gatemill.core.clock import FakeClock, SystemClock


def test_the_machines_clock_is_the_machines():
    clock = SystemClock()
    before_s, unix_s = time.monotonic(), time.time()
    assert before_s <= clock.monotonic_s() <= time.monotonic()
    assert unix_s - 1 <= clock.unix_s() <= time.time() + 1


def test_a_fake_clock_stands_until_it_is_moved():
    clock = FakeClock(unix_s=100.0)
    assert (clock.monotonic_s(), clock.unix_s()) == (0.0, 100.0)
    clock.advance(2.5)
    clock.advance(0.5)
    assert (clock.monotonic_s(), clock.unix_s()) == (3.0, 103.0)
