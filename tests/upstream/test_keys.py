"""Several keys of one provider."""

from __future__ import annotations

from structlog.testing import capture_logs

from gatemill.providers import openai
from gatemill.upstream.keys import KeyPool, shown

SECRETS = ("sk-first-0001", "sk-second-0002", "sk-third-0003")


def pool(*secrets: str) -> KeyPool:
    return KeyPool("p", secrets or SECRETS, openai.secret_headers)


def taken(keys: KeyPool, now_s: float, count: int) -> list[str | None]:
    found = [keys.take(now_s) for _ in range(count)]
    return [key and key.shown for key in found]


def test_keys_are_used_in_turn():
    assert taken(pool(), 0, 4) == ["...0001", "...0002", "...0003", "...0001"]


def test_a_key_carries_the_headers_of_its_dialect():
    key = pool().take(0)
    assert key is not None
    assert key.headers == (("authorization", "Bearer sk-first-0001"),)


def test_a_key_that_rests_is_left_out_until_its_rest_is_over():
    keys = pool()
    first = keys.take(0)
    assert first is not None
    keys.rest(first, 10, 0, "upstream_auth_failed")
    assert taken(keys, 9.9, 3) == ["...0002", "...0003", "...0002"]
    assert (keys.resting(9.9), keys.resting(10)) == (1, 0)
    assert "...0001" in taken(keys, 10, 3)


def test_when_all_rest_none_is_given_and_it_is_known_which_wakes_first():
    keys = pool()
    for seconds in (30, 10, 20):
        key = keys.take(0)
        assert key is not None
        keys.rest(key, seconds, 0, "rate_limit_exceeded")
    assert keys.take(5) is None
    assert keys.soonest().shown == "...0002"
    assert (keys.wakes_s(5), keys.wakes_s(10)) == (5, 0)


def test_a_shorter_rest_does_not_end_a_longer_one():
    keys = pool("sk-the-only-one")
    key = keys.soonest()
    keys.rest(key, 300, 0, "upstream_auth_failed")
    keys.rest(key, 1, 0, "rate_limit_exceeded")
    assert keys.wakes_s(0) == 300


def test_going_to_rest_is_said_once_and_without_the_key():
    keys = pool()
    key = keys.soonest()
    with capture_logs() as lines:
        keys.rest(key, 30, 0, "rate_limit_exceeded")
        keys.rest(key, 30, 1, "rate_limit_exceeded")
    (line,) = lines
    assert (line["event"], line["key"], line["provider"]) == ("provider_key_rests", "...0001", "p")
    assert "sk-first" not in str(lines)


def test_at_most_four_characters_of_a_key_are_shown_and_nothing_of_a_short_one():
    assert shown("sk-abcdef-1234") == "...1234"
    assert shown("12345678") == "..."
    assert shown("") == "..."


def test_a_pool_that_replaces_another_lets_its_keys_go_on_resting():
    old, new = pool(), pool("sk-first-0001", "sk-fourth-0004")
    old.rest(old.keys[0], 300, 0, "upstream_auth_failed")
    new.adopt(old)
    assert taken(new, 1, 2) == ["...0004", "...0004"]
    # A request that began before tells its old pool, and the new one hears of it.
    old.rest(old.keys[0], 600, 1, "upstream_auth_failed")
    assert new.resting(400) == 1
