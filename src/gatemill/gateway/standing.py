"""What a caller is told of its limits: headers and words. Rule: the most restrictive scope speaks.

`x-ratelimit-*` have OpenAI's names and its way to write durations ("1s", "6m0s"). `RateLimit` and
`RateLimit-Policy` follow the IETF draft "RateLimit header fields for HTTP" (version 10, 2025-09).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gatemill.core.limits import Kind
from gatemill.wire.limits import short_usd

if TYPE_CHECKING:
    from gatemill.core.limits import Hold, Refusal, Rule, Standing

_UNITS = {Kind.REQUESTS: "requests", Kind.REQUESTS_DAY: "requests", Kind.TOKENS: "tokens"}
_NAMES = {
    Kind.CONCURRENCY: "concurrency",
    Kind.REQUESTS: "requests_per_minute",
    Kind.REQUESTS_DAY: "requests_per_day",
    Kind.TOKENS: "tokens_per_minute",
}
_WINDOW_S = {Kind.REQUESTS: 60, Kind.REQUESTS_DAY: 86_400, Kind.TOKENS: 60}
_OWNERS = {"key": "This key", "user": "This key's user", "team": "This key's team"}
_FUNCTION = "function/"  # how the library calls a program's own function, instead of a model


def headers(hold: Hold) -> bytes:
    """Header lines of a request that was admitted; b"" where no rate limits it."""
    requests: Standing | None = None
    tokens: Standing | None = None
    for each in hold.standings:
        kind = each.rule.kind
        if kind is Kind.TOKENS:
            if tokens is None or _is_tighter(each, tokens):
                tokens = each
        elif kind is not Kind.BUDGET and (requests is None or _is_tighter(each, requests)):
            requests = each
    lines = b""
    if requests is not None:
        lines = _lines(requests.rule, requests.remaining, requests.reset_s)
    if tokens is not None:
        lines += _lines(tokens.rule, tokens.remaining, tokens.reset_s)
    return lines


def refused_headers(refusal: Refusal) -> bytes:
    """Header lines of a request that a rate limit refused."""
    if refusal.rule.kind not in _UNITS or math.isinf(refusal.retry_after_s):
        return b""
    return _lines(refusal.rule, 0, refusal.retry_after_s)


def name_of(rule: Rule) -> str:
    """The limit as the API and the settings call it."""
    return _NAMES.get(rule.kind, f"budget_{rule.period}")


def limit_words(rule: Rule) -> str:
    """The limit, as the first sentence of a refusal."""
    owner = _owner(rule)
    if rule.kind is Kind.CONCURRENCY:
        return f"{owner} may have {rule.most} requests under way at once."
    span = "day" if rule.kind is Kind.REQUESTS_DAY else "minute"
    return f"{owner} may use {rule.most} {_UNITS[rule.kind]} per {span}."


def spent_words(rule: Rule) -> str:
    """The message of a spent budget."""
    owner = _owner(rule)
    span = "in all" if rule.period == "total" else f"per {rule.period}, UTC"
    return (
        f"{owner} has no room for this request in its budget of ${short_usd(rule.most)} {span}."
        " Ask an admin to raise it, or ask for fewer tokens."
    )


def _owner(rule: Rule) -> str:
    if rule.scope in _OWNERS:
        return _OWNERS[rule.scope]
    kind = "function" if rule.scope_id.startswith(_FUNCTION) else "model"
    return f"The {kind} `{rule.scope_id.removeprefix(_FUNCTION)}`"


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it: "12ms", "1.5s", "6m0s", "23h59m59s"."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def _is_tighter(one: Standing, other: Standing) -> bool:
    return one.remaining * other.rule.most < other.remaining * one.rule.most


def _lines(rule: Rule, remaining: int, reset_s: float) -> bytes:
    unit = _UNITS[rule.kind]
    return (
        f"x-ratelimit-limit-{unit}: {rule.most}\r\n"
        f"x-ratelimit-remaining-{unit}: {remaining}\r\n"
        f"x-ratelimit-reset-{unit}: {duration(reset_s)}\r\n"
        f'ratelimit-policy: "{unit}";q={rule.most};w={_WINDOW_S[rule.kind]}\r\n'
        f'ratelimit: "{unit}";r={remaining};t={max(0, math.ceil(reset_s))}\r\n'
    ).encode()
