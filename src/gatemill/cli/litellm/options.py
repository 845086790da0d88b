"""litellm_settings, router_settings, general_settings -> our sections. Rule: each option is read here, or said to be left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.cli.litellm.access import TIMEOUT_S_MAX
from gatemill.cli.litellm.deployments import dollars_of, period_of
from gatemill.cli.litellm.draft import number_of, text_of
from gatemill.cli.litellm.known import fitting, known

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.cli.litellm.draft import Draft
    from gatemill.cli.litellm.reading import Value

    Reader = Callable[[Draft, Value], None]

CACHE_TTL_S = 600  # where the file says none
_ATTEMPTS_MAX = 10
_FAILS_MAX = 1000
_STRATEGIES = {
    "simple-shuffle": "weight",
    "usage-based-routing": "weight",
    "usage-based-routing-v2": "weight",
    "latency-based-routing": "latency",
    "least-busy": "latency",
    "cost-based-routing": "cost",
}
_ELSEWHERE = {  # read by other modules here
    "include",
    "model_list",
    "credential_list",
    *(
        f"{section}.{option}"
        for section in ("litellm_settings", "router_settings")
        for option in (
            "fallbacks",
            "context_window_fallbacks",
            "default_fallbacks",
            "model_group_alias",
            "model_alias_map",
        )
    ),
    "router_settings.enable_pre_call_checks",
    "router_settings.enable_pre_call_check",
    "router_settings.enforce_model_rate_limits",
    *(f"router_settings.redis_{part}" for part in ("host", "port", "password", "db", "url")),
}


def carry(draft: Draft, tree: Value) -> None:
    """Every option is in the draft, or it says why not."""
    for name, section in tree.entries().items():
        if name not in ("litellm_settings", "router_settings", "general_settings"):
            if name not in _ELSEWHERE and section.said:
                draft.left(section, known().otherwise.get(name, "is not known here"))
            continue
        for value in section.entries().values():
            if value.said is not None and value.path not in _ELSEWHERE:
                _option(draft, value)
    _redis(draft, tree)


def _option(draft: Draft, value: Value) -> None:
    read = _READERS.get(value.path)
    if read is not None:
        read(draft, value)
        return
    if fitting(known().needless, value.path) is None:
        text = fitting(known().otherwise, value.path)
        draft.left(value, text or "is not known here; docs/settings.md lists what there is")


def _redis(draft: Draft, tree: Value) -> None:
    """The router's Redis counts for all processes."""
    router = tree.entries().get("router_settings", tree).entries()
    url = _redis_url(router, "redis_")
    if url:
        draft.set("stores", "counters", url)


def _redis_url(table: dict[str, Value], prefix: str) -> str:
    whole = text_of(table.get(f"{prefix}url"))
    if whole:
        return whole
    host = text_of(table.get(f"{prefix}host"))
    if not host:
        return ""
    password = text_of(table.get(f"{prefix}password"))
    port = text_of(table.get(f"{prefix}port")) or "6379"
    database = text_of(table.get(f"{prefix}db")) or "0"
    secure = table.get("ssl")
    scheme = "rediss" if secure is not None and secure.said is True else "redis"
    login = f":{password}@" if password else ""
    return f"{scheme}://{login}{host}:{port}/{database}"


# --- Single options, each called with its value --------------------------------------------------------


def _retries(draft: Draft, value: Value) -> None:
    number = value.said
    if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
        draft.set("retries", "attempts_max", min(number + 1, _ATTEMPTS_MAX))
        draft.otherwise(value, f"attempts_max = {min(number + 1, _ATTEMPTS_MAX)}, over all targets")
    else:
        draft.left(value, "expected a whole number; write retries.attempts_max")


def _timeout(draft: Draft, value: Value) -> None:
    number = number_of(value)
    if number is None:
        draft.left(value, "expected a number of seconds; write providers.NAME.timeout")
        return
    for provider in draft.providers.values():
        timeout = provider.setdefault("timeout", {})
        timeout.setdefault("total_s", min(number, TIMEOUT_S_MAX))


def _stream_timeout(draft: Draft, value: Value) -> None:
    number = number_of(value)
    if number is None:
        draft.left(value, "expected a number of seconds; write providers.NAME.timeout")
        return
    for provider in draft.providers.values():
        provider.setdefault("timeout", {}).setdefault("first_token_s", min(number, TIMEOUT_S_MAX))


def _allowed_fails(draft: Draft, value: Value) -> None:
    if isinstance(value.said, int) and 0 <= value.said < _FAILS_MAX:
        draft.set("breaker", "failures", value.said + 1)
        draft.set("breaker", "window_s", 60)
    else:
        draft.left(value, "expected a whole number; write breaker.failures")


def _cooldown(draft: Draft, value: Value) -> None:
    number = number_of(value)
    if number is None:
        draft.left(value, "expected a number of seconds; write breaker.open_s")
        return
    draft.set("breaker", "open_s", min(number, TIMEOUT_S_MAX))
    draft.set("breaker", "open_max_s", max(300, min(number, TIMEOUT_S_MAX)))


def _retry_after(draft: Draft, value: Value) -> None:
    number = number_of(value)
    if number is not None:
        draft.set("retries", "backoff_s", min(number, TIMEOUT_S_MAX))
        draft.set("retries", "backoff_max_s", max(8, min(number, TIMEOUT_S_MAX)))


def _strategy(draft: Draft, value: Value) -> None:
    theirs = text_of(value)
    ours = _STRATEGIES.get(theirs)
    if ours is None:
        draft.left(value, f"no strategy is like it; models.NAME.strategy can be {_OURS}")
        return
    for model in draft.models.values():
        if ours != "weight" and len(model["targets"]) > 1:
            model["strategy"] = ours
    if theirs == "least-busy":
        draft.otherwise(
            value, 'strategy = "latency": a busy target answers later, and its queue is bounded'
        )
    elif theirs.startswith("usage-based"):
        draft.otherwise(value, "rpm and tpm are weights, and their sums limits of the model")


_OURS = "weight, order, latency or cost"


def _verbose(draft: Draft, value: Value) -> None:
    if value.said is True:
        draft.set("server", "log_level", "debug")


def _json_logs(draft: Draft, value: Value) -> None:
    if value.said is True:
        draft.set("server", "log", "json")


def _cache(draft: Draft, value: Value) -> None:
    """`cache: true` alone keeps answers in memory; its parameters are read with `cache_params`."""
    if value.said is True and "ttl_s" not in draft.sections.get("cache", {}):
        draft.set("cache", "ttl_s", CACHE_TTL_S)
        draft.otherwise(
            value,
            'answers are kept for each key apart; cache.scope = "all" gives them to everybody,'
            " as before",
        )


def _cache_params(draft: Draft, value: Value) -> None:
    said = value.entries()
    ttl_s = number_of(said.get("ttl"))
    if ttl_s is not None and text_of(said.get("mode")) != "default_off":
        draft.set("cache", "ttl_s", min(ttl_s, 31_536_000))
    kind = text_of(said.get("type"))
    url = _redis_url(said, "") or (
        "redis://${REDIS_HOST}:${REDIS_PORT}/0" if kind.startswith("redis") else ""
    )
    if url:
        draft.set("stores", "cache", url)
    elif kind not in ("local", "", "redis"):
        draft.otherwise(said["type"], f"answers are kept in memory or in Redis, not in {kind}")
    _similar(draft, kind, said)
    known_here = {"ttl", "type", "host", "port", "password", "db", "url", "ssl", "username"}
    for option, each in said.items():
        is_similar = option.endswith("embedding_model") or option == "similarity_threshold"
        if option not in known_here and not is_similar and each.said is not None:
            _option(draft, each)


def _similar(draft: Draft, kind: str, said: dict[str, Value]) -> None:
    model = next((value for name, value in said.items() if name.endswith("embedding_model")), None)
    if "semantic" not in kind or model is None:
        return
    if text_of(model) in draft.models:
        draft.set("cache", "similar_model", text_of(model))
        share = number_of(said.get("similarity_threshold"))
        if share is not None and share <= 1:
            draft.set("cache", "similar_min", share)
    else:
        draft.left(model, "a name of model_list is needed; write cache.similar_model")


def _new_keys(draft: Draft, value: Value) -> None:
    """What a key may use that has no limits of its own."""
    said = value.entries()
    budget = dollars_of(said.get("max_budget"))
    period = period_of(said.get("budget_duration"))
    for theirs, ours in (
        ("rpm_limit", "requests_per_minute"),
        ("tpm_limit", "tokens_per_minute"),
        ("max_parallel_requests", "concurrency"),
    ):
        number = number_of(said.get(theirs))
        if isinstance(number, int):
            draft.sections.setdefault("limits", {}).setdefault("default", {})[ours] = number
    if budget is not None and period is not None:
        limits = draft.sections.setdefault("limits", {}).setdefault("default", {})
        limits["budgets"] = {period: {"usd": budget}}
    elif budget is not None:
        draft.left(said["budget_duration"], "a budget is by day, week, month or for ever (total)")
    read = {"max_budget", "budget_duration", "rpm_limit", "tpm_limit", "max_parallel_requests"}
    for option, each in said.items():
        if option not in read:
            draft.left(each, "is said when a key is made: gatemill keys create --help")


def _all_requests(draft: Draft, value: Value) -> None:
    number = number_of(value)
    if isinstance(number, int):
        draft.set("limits", "requests_in_flight", number)


def _each_deployment(draft: Draft, value: Value) -> None:
    number = number_of(value)
    if isinstance(number, int):
        for provider in draft.providers.values():
            provider.setdefault("queue", {"concurrency_max": number})


def _retention(draft: Draft, value: Value) -> None:
    text = text_of(value)
    if text.endswith("d") and text[:-1].isdecimal() and int(text[:-1]) > 0:
        draft.set("stores", "usage_retention_days", int(text[:-1]))
    else:
        draft.left(value, "expected such as 30d; write stores.usage_retention_days")


_READERS: dict[str, Reader] = {
    "litellm_settings.num_retries": _retries,
    "router_settings.num_retries": _retries,
    "litellm_settings.request_timeout": _timeout,
    "router_settings.timeout": _timeout,
    "router_settings.stream_timeout": _stream_timeout,
    "litellm_settings.allowed_fails": _allowed_fails,
    "router_settings.allowed_fails": _allowed_fails,
    "litellm_settings.cooldown_time": _cooldown,
    "router_settings.cooldown_time": _cooldown,
    "router_settings.retry_after": _retry_after,
    "router_settings.routing_strategy": _strategy,
    "litellm_settings.set_verbose": _verbose,
    "litellm_settings.json_logs": _json_logs,
    "litellm_settings.cache": _cache,
    "litellm_settings.cache_params": _cache_params,
    "litellm_settings.default_key_generate_params": _new_keys,
    "general_settings.global_max_parallel_requests": _all_requests,
    "general_settings.max_parallel_requests": _each_deployment,
    "router_settings.default_max_parallel_requests": _each_deployment,
    "general_settings.maximum_spend_logs_retention_period": _retention,
}
