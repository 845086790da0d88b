from gatemill.core.clock import FakeClock
from gatemill.features.cache import Cache

A, B, C = (("user", key) for key in "abc")


def made(entries_max=2, keep_s=5.0):
    clock = FakeClock()
    return Cache(entries_max, keep_s, clock.monotonic_s), clock


def test_what_was_put_is_there_for_its_time():
    cache, clock = made()
    cache.put({A: {"x": 1}})
    assert cache.get(A) == {"x": 1}
    clock.advance(5.0)
    assert cache.get(A) is None
    assert (cache.hits, cache.misses) == (1, 1)


def test_who_was_asked_for_least_lately_makes_room():
    cache, _ = made()
    cache.put({A: {}, B: {}})
    assert cache.get(A) == {}
    cache.put({C: {}})
    assert cache.get(B) is None
    assert cache.get(A) == {}
    assert (cache.evicted, len(cache)) == (1, 2)


def test_what_is_dropped_is_gone():
    cache, _ = made()
    cache.put({A: {}, B: {}})
    cache.drop(A)
    cache.drop(C)
    assert (cache.get(A), cache.get(B)) == (None, {})
    cache.clear()
    assert cache.get(B) is None


def test_without_time_nothing_is_kept():
    cache, _ = made(keep_s=0.0)
    cache.put({A: {}})
    assert len(cache) == 0
