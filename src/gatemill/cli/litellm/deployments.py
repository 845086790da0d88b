"""model_list -> [models] and [prices]. Rule: what cannot be reached is left out, and the others stay."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from math import gcd
from typing import TYPE_CHECKING, Any

from gatemill.cli.litellm import access
from gatemill.cli.litellm.draft import number_of, text_of
from gatemill.cli.litellm.known import fitting, known

if TYPE_CHECKING:
    from gatemill.cli.litellm.draft import Draft
    from gatemill.cli.litellm.reading import Value

_COSTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
}
_PERIODS = {
    **dict.fromkeys(("1d", "24h"), "day"),
    **dict.fromkeys(("7d", "1w"), "week"),
    **dict.fromkeys(("30d", "31d", "1mo", "1m"), "month"),
}
_SHARES = ("weight", "rpm", "tpm")  # what LiteLLM takes as weight, the first that is there
_MEASURES = {*_SHARES, "max_budget", "budget_duration", *_COSTS, *access.NAMES}
_WEIGHT_MAX = 1_000_000
MILLION = Decimal(1_000_000)


class Shared:
    """What other sections decide about all deployments."""

    def __init__(self, tree: Value) -> None:
        router = _table(tree, "router_settings")
        strategy = text_of(router.get("routing_strategy")) or "simple-shuffle"
        checks = router.get("enable_pre_call_checks") or router.get("enable_pre_call_check")
        self.checks_size = checks is not None and checks.said is True
        enforced = router.get("enforce_model_rate_limits")
        self.limits = strategy.startswith("usage-based") or (
            enforced is not None and enforced.said is True
        )
        self.credentials = {
            text_of(one.entries().get("credential_name")): one.entries()
            for one in _list(tree, "credential_list")
        }


def carry(draft: Draft, tree: Value) -> None:
    """All deployments are in the draft, or it says why not."""
    shared = Shared(tree)
    entries = _list(tree, "model_list")
    draft.deployments = len(entries)
    # Patterns first: `openai/*` works as provider/model only if the provider has that very name.
    for entry in entries:
        if "*" in text_of(entry.entries().get("model_name")):
            _carry_one(draft, _completed(entry, shared), shared)
    for entry in entries:
        if "*" not in text_of(entry.entries().get("model_name")):
            _carry_one(draft, _completed(entry, shared), shared)
    for model in draft.models.values():
        _reduce(model["targets"])


def period_of(value: Value | None) -> str | None:
    """The calendar period that a budget_duration means most nearly; None for another one."""
    return "total" if value is None or not text_of(value) else _PERIODS.get(text_of(value))


def dollars_of(value: Value | None) -> Decimal | None:
    """An amount of at least a micro-dollar; None where there is none."""
    number = number_of(value)
    usd = Decimal(str(number or 0)).quantize(Decimal("0.000001")).normalize()
    return usd if usd > 0 else None


def _completed(entry: Value, shared: Shared) -> Value:
    """The entry with what its credential says."""
    fields = entry.entries()
    params = fields.get("litellm_params")
    if params is None:
        return entry
    named = params.entries().get("litellm_credential_name")
    found = shared.credentials.get(text_of(named)) if named else None
    if found is None:
        return entry
    values = found["credential_values"].entries() if "credential_values" in found else {}
    own = {k: v for k, v in params.entries().items() if k != "litellm_credential_name"}
    whole = params._replace(said={**values, **own})
    return entry._replace(said={**fields, "litellm_params": whole})


def _carry_one(draft: Draft, entry: Value, shared: Shared) -> None:
    name = text_of(entry.entries().get("model_name"))
    params = entry.entries().get("litellm_params")
    shown = entry._replace(path=f"model_list: {name or '?'}")
    if not name or params is None or not params.entries().get("model"):
        draft.left(shown, "needs model_name and litellm_params.model")
        return
    try:
        prefix, model = access.split(params.entries())
        _named(name)
        _offered(entry, model)
        target = {"provider": access.provider(draft, entry, prefix), "model": model}
        placed = _placed(draft, shown, name, prefix, target)
    except access.Unreachable as error:
        draft.left(shown, str(error))
        return
    draft.carried += 1
    _price(draft, entry, target)
    _others(draft, entry, name, shared)
    if placed:
        _add(draft, entry, name, target, shared)


def _offered(entry: Value, model: str) -> None:
    """It is a model whose requests are answered here. Raises Unreachable."""
    if not model:
        raise access.Unreachable("names no model after the slash")
    info = _table(entry, "model_info")
    mode = text_of(info.get("mode")) or fitting(known().bare_modes, model) or ""
    instead = known().modes.get(mode)
    if instead:
        raise access.Unreachable(f"{mode}: {instead}")


def _named(name: str) -> None:
    if name == "cache":
        raise access.Unreachable('this name is taken: among fallbacks "cache" stands for the cache')
    if not name.isprintable() or any(sign.isspace() for sign in name) or "${" in name:
        raise access.Unreachable("a model's name is printable and without spaces: rename it")
    if "**" in name or ("*" in name and set(name) & set("?[]")):
        raise access.Unreachable("a * already stands for any characters; no other sign is special")


def _placed(draft: Draft, entry: Value, name: str, prefix: str, target: dict[str, Any]) -> bool:
    """Whether it is an entry of [models]; `provider/*` needs none. Raises Unreachable."""
    model = target["model"]
    if "*" not in name:
        if "*" in model:
            raise access.Unreachable("a target with * needs a pattern as name")
        return True
    if name == f"{prefix}/*" and model == "*":
        own = target["provider"]
        draft.otherwise(
            entry, f"{own}/MODEL reaches every model of it (server.direct_models); no entry needed"
        )
        return False
    if model not in ("*", name):
        raise access.Unreachable(
            "a pattern passes on the name that was asked for; write one entry for each model"
        )
    target["model"] = "*"
    return True


def _add(draft: Draft, entry: Value, name: str, target: dict[str, Any], shared: Shared) -> None:
    fields = entry.entries()
    params = fields["litellm_params"].entries()
    model = draft.models.setdefault(name, {"targets": []})
    measures = params | {each: fields[each] for each in ("rpm", "tpm") if each in fields}
    shares = [number_of(measures.get(each)) for each in _SHARES]
    share = next((one for one in shares if one is not None), 1)
    size = number_of(_table(entry, "model_info").get("max_input_tokens"))
    if shared.checks_size and isinstance(size, int):
        target["context_tokens"] = size
    weight = max(1, min(_WEIGHT_MAX, round(share * 100) if share < 1 else round(share)))
    for other in model["targets"]:
        if _same(other, target):
            other["weight"] += weight
            break
    else:
        model["targets"].append({**target, "weight": weight})
    if shared.limits:
        _limit(model, measures)
    _budget(draft, name, model, params)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether they differ in their weight at most."""
    return (one | {"weight": 1}) == (other | {"weight": 1})


def _limit(model: dict[str, Any], measures: dict[str, Value]) -> None:
    """What the targets of one name may get is added up: together they are the model's limit."""
    limits = model.setdefault("limits", {})
    for theirs, ours in (("rpm", "requests_per_minute"), ("tpm", "tokens_per_minute")):
        number = number_of(measures.get(theirs))
        if isinstance(number, int):
            limits[ours] = limits.get(ours, 0) + number
    if not limits:
        del model["limits"]


def _budget(draft: Draft, name: str, model: dict[str, Any], params: dict[str, Value]) -> None:
    said = params.get("max_budget")
    usd = dollars_of(said)
    if said is None or usd is None:
        return
    period = period_of(params.get("budget_duration"))
    if period is None or "*" in name or len(model["targets"]) > 1:
        draft.left(said, "a budget belongs to a name without *, by day, week, month or for ever")
        return
    model.setdefault("limits", {})["budgets"] = {period: {"usd": usd}}
    draft.otherwise(said, f"is a budget of the name {name} per {period}, by the calendar in UTC")


def _price(draft: Draft, entry: Value, target: dict[str, Any]) -> None:
    said = {**_table(entry, "model_info"), **_table(entry, "litellm_params")}
    rates = {}
    for theirs, ours in _COSTS.items():
        rate = _per_million(said.get(theirs))
        if rate is not None:
            rates[ours] = rate
    if not rates or target["model"] == "*":
        return
    if not {"input", "output"} <= rates.keys():
        value = next(said[name] for name in _COSTS if name in said)
        draft.left(value, "a price has input and output; add the other one, 0 is allowed")
        return
    draft.prices[f"{target['provider']}/{target['model']}"] = rates


def _per_million(value: Value | None) -> Decimal | None:
    try:
        rate = Decimal(str(value.said)) * MILLION if value is not None else None
    except InvalidOperation:
        return None
    if rate is None or not rate.is_finite() or not 0 <= rate <= 10_000:
        return None
    return rate.quantize(Decimal("0.000001")).normalize()


def _others(draft: Draft, entry: Value, name: str, shared: Shared) -> None:
    """All that nobody has read is said to be left out, unless it needs nothing."""
    sizes = {"max_input_tokens"} if shared.checks_size else set()
    read_of: dict[str, set[str]] = {"litellm_params": _MEASURES, "model_info": {*_COSTS, *sizes}}
    for section, read in read_of.items():
        for option, value in _table(entry, section).items():
            if option in read or value.said is None:
                continue
            path = f"{section}.{option}"
            if fitting(known().needless, path) is None:
                text = fitting(known().otherwise, path) or "is not known here"
                draft.left(value._replace(path=f"model_list: {name}: {path}"), text)


def _reduce(targets: list[dict[str, Any]]) -> None:
    """Weights in their lowest terms; none where all are equal."""
    divisor = gcd(*(target["weight"] for target in targets))
    for target in targets:
        target["weight"] //= divisor
    if all(target["weight"] == 1 for target in targets):
        for target in targets:
            del target["weight"]


def _table(value: Value, name: str) -> dict[str, Value]:
    found = value.entries().get(name)
    return {} if found is None else found.entries()


def _list(value: Value, name: str) -> list[Value]:
    found = value.entries().get(name)
    return [] if found is None else found.items()
