"""What an attempt costs. Rule: integers only; nothing is rounded here, `core.money.microusd` does it once."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from gatemill.core.call import Price
from gatemill.core.errors import InvalidType, InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.call import Usage

PICO_PER_TOKEN = 1_000_000  # in one dollar per million tokens
USD_PER_MTOK_MAX = 10_000  # nothing costs that much: the figure is in another unit
RATES = (
    *("input", "output", "cache_read", "cache_write", "cache_write_1h"),
    *("input_audio", "output_audio"),
)


def cost_pico(price: Price, usage: Usage) -> int:
    """Pico-dollars for one attempt. The last tier whose `above_tokens` the prompt exceeds sets all rates."""
    rates = price
    for tier in price.tiers:
        if usage.prompt > tier.above_tokens:
            rates = tier
    return (
        usage.input * rates.input
        + usage.cache_read * rates.cache_read
        + usage.cache_write * rates.cache_write
        + usage.cache_write_1h * rates.cache_write_1h
        + usage.input_audio * rates.input_audio
        + (usage.output + usage.reasoning) * rates.output
        + usage.output_audio * rates.output_audio
        + rates.request
    )


def flat(rates: Mapping[str, object], param: str, source: str) -> Price:
    """The price for dollars per million tokens, as people write them: {"input": 2.5, "output": 10}.

    Cached and audio tokens cost what their side costs, unless their rate is given; those cached for an
    hour cost what other written ones cost. Raises InvalidValue and InvalidType naming `param`, the place of the mapping.
    """
    unknown = sorted(set(rates) - set(RATES))
    if unknown:
        raise InvalidValue(
            f"{param} has an unknown rate `{unknown[0]}`. Known rates: {', '.join(RATES)}.",
            param=param,
        )
    # Both are required: a forgotten output price must not make answers free.
    if not {"input", "output"} <= set(rates):
        raise InvalidValue(
            f"{param} needs input and output, in dollars per million tokens; 0 is allowed.",
            param=param,
        )
    pico = {name: per_token_pico(value, f"{param}.{name}") for name, value in rates.items()}
    written = pico.get("cache_write", pico["input"])
    return Price(
        input=pico["input"],
        output=pico["output"],
        cache_read=pico.get("cache_read", pico["input"]),
        cache_write=written,
        cache_write_1h=pico.get("cache_write_1h", written),
        input_audio=pico.get("input_audio", pico["input"]),
        output_audio=pico.get("output_audio", pico["output"]),
        source=source,
    )


def per_token_pico(usd_per_mtok: object, param: str) -> int:
    """Pico-dollars per token for dollars per million tokens. Raises InvalidValue and InvalidType."""
    if isinstance(usd_per_mtok, bool) or not isinstance(usd_per_mtok, (int, float, str, Decimal)):
        raise InvalidType(f"{param} must be a number of dollars per million tokens.", param=param)
    try:
        # Through text, so that 0.15 is fifteen cents and not the nearest binary fraction.
        usd = Decimal(str(usd_per_mtok))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 <= usd <= USD_PER_MTOK_MAX:
        raise InvalidValue(
            f"{param} must lie between 0 and {USD_PER_MTOK_MAX} dollars per million tokens.",
            param=param,
        )
    return int((usd * PICO_PER_TOKEN).to_integral_value(ROUND_HALF_UP))
