"""What a caller is told of its limits."""

from __future__ import annotations

import pytest

from gatemill.core.limits import Hold, Kind, Refusal, Rule, Standing
from gatemill.gateway import standing


def rule(kind: Kind, most: int, scope: str = "key", period: str = "") -> Rule:
    return Rule(f"{kind.name}:{scope}", kind, scope, "k1", most, period)


def hold(*standings: Standing) -> Hold:
    return Hold("r", tuple(one.rule for one in standings), 0, 0, 0.0, standings)


def lines(data: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in data.decode().splitlines())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.012, "12ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.9994, "59.999s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (86_399, "23h59m59s"),
    ],
)
def test_durations_look_like_openais(seconds: float, text: str):
    assert standing.duration(seconds) == text


def test_the_scope_that_leaves_least_speaks():
    said = lines(
        standing.headers(
            hold(
                Standing(rule(Kind.REQUESTS, 100), 10, 6.0),
                Standing(rule(Kind.REQUESTS, 10, "team"), 9, 48.0),
                Standing(rule(Kind.REQUESTS_DAY, 1000), 10, 3600.0),
                Standing(rule(Kind.TOKENS, 1000), 100, 6.0),
                Standing(rule(Kind.TOKENS, 5000, "model"), 4900, 50.0),
                Standing(rule(Kind.BUDGET, 1, period="day"), 1, 9.0),
            )
        )
    )
    assert said["x-ratelimit-limit-requests"] == "10"
    assert said["x-ratelimit-remaining-requests"] == "1"
    assert said["x-ratelimit-reset-requests"] == "48s"
    assert said["x-ratelimit-remaining-tokens"] == "100"
    assert said["ratelimit"] == '"tokens";r=100;t=50'


def test_who_has_no_rates_is_told_nothing():
    assert standing.headers(hold(Standing(rule(Kind.BUDGET, 5, period="day"), 1, 9.0))) == b""


def test_a_refusal_says_that_nothing_is_left_and_when_to_come_back():
    said = lines(standing.refused_headers(Refusal(rule(Kind.REQUESTS, 10), 2.25)))
    assert said["x-ratelimit-remaining-requests"] == "0"
    assert said["x-ratelimit-reset-requests"] == "2.25s"
    assert standing.refused_headers(Refusal(rule(Kind.CONCURRENCY, 10), 1.0)) == b""


@pytest.mark.parametrize(("wait_s", "told"), [(2.25, 3), (2.0, 2), (0.001, 1), (-1.5, 0)])
def test_whole_seconds_are_never_too_few(wait_s: float, told: int):
    said = lines(standing.refused_headers(Refusal(rule(Kind.REQUESTS, 10), wait_s)))
    assert said["ratelimit"] == f'"requests";r=0;t={told}'


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (rule(Kind.REQUESTS, 5), "This key may use 5 requests per minute."),
        (rule(Kind.REQUESTS_DAY, 5, "user"), "This key's user may use 5 requests per day."),
        (rule(Kind.TOKENS, 5, "team"), "This key's team may use 5 tokens per minute."),
        (rule(Kind.CONCURRENCY, 5, "model"), "The model `k1` may have 5 requests under way"),
    ],
)
def test_limits_in_words(made: Rule, words: str):
    assert standing.limit_words(made).startswith(words)


def test_budgets_in_words():
    assert "of $0.000005 per day, UTC" in standing.spent_words(rule(Kind.BUDGET, 5, period="day"))
    assert "in all" in standing.spent_words(rule(Kind.BUDGET, 5, period="total"))
