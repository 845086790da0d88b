"""Writes src/gatemill/data/prices.json from the genai-prices package and prices.toml.

Rule: the product never imports genai-prices; what it needs of it is in this file's output.

usage: python scripts/compile_prices.py [date, default today (UTC)]

A model keeps its place in the vendor's order even when its price cannot be carried over (`prices`
stays empty), so that a looser rule further down does not take its name.
"""

from __future__ import annotations

import sys
import tomllib
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from genai_prices import types as g
from genai_prices.data import providers

from gatemill.policy.price import RATES, flat, per_token_pico
from gatemill.policy.price_table import Clause, Dated, Model, Rates

DATA = Path(__file__).parents[1] / "src" / "gatemill" / "data"
NOTICE = (
    "Prices are compiled from genai-prices, MIT License, Copyright (c) Pydantic Services Inc. 2025"
    " to present; entries with a source of their own are Gatemill's."
)
# Billed beside tokens, or a finer cut of them than Usage has: the token price holds without them.
BESIDE = {
    "web_searches_kcount",
    "storage_searches_kcount",
    "cache_audio_read_mtok",
}
KNOWN = {f"{rate}_mtok" for rate in RATES} | {"requests_kcount"} | BESIDE
KINDS = {
    g.ClauseStartsWith: ("starts", "starts_with"),
    g.ClauseEndsWith: ("ends", "ends_with"),
    g.ClauseContains: ("contains", "contains"),
    g.ClauseEquals: ("equals", "equals"),
}


def main() -> None:
    """The file is written; what has no price is listed."""
    day = date.fromisoformat(sys.argv[1]) if len(sys.argv) > 1 else datetime.now(UTC).date()
    target = DATA / "prices.json"
    target.write_bytes(compiled(day, (DATA / "prices.toml").read_text()))
    print(f"{target.name}: {target.stat().st_size} bytes")


def compiled(day: date, own: str) -> bytes:
    """The table as of a day: one line per model, so that a diff can be reviewed."""
    vendors: dict[str, list[Model]] = {}
    for provider in providers:
        models = [_model(model, day) for model in provider.models]
        vendors[provider.id] = [model for model in models if model.names or model.rules]
    for entry in reversed(tomllib.loads(own).get("price", [])):
        vendors.setdefault(entry["vendor"], []).insert(0, _own_model(entry))
    resells = {p.id: list(p.fallback_model_providers or ()) for p in providers}
    aliases = [[p.id, _clause(p.provider_match)] for p in providers if p.provider_match]
    head = {
        "source": f"genai-prices {version('genai-prices')}",
        "compiled": day.isoformat(),
        "notice": NOTICE,
        "aliases": aliases,
    }
    lines = [_json(head).removesuffix("}") + ',"vendors":{']
    for name, models in vendors.items():
        lines.append(f'{_json(name)}:{{"resells":{_json(resells.get(name, []))},"models":[')
        lines.extend(f"{_json(model)}," for model in models)
        lines[-1] = lines[-1].rstrip(",")
        lines.append("]},")
    lines[-1] = "]}"
    return "\n".join([*lines, "}}", ""]).encode()


def _model(model: g.ModelInfo, day: date) -> Model:
    parts = _alternatives(_clause(model.match))
    return Model(
        names=tuple(part.text for part in parts if part.kind == "equals"),
        rules=tuple(part for part in parts if part.kind != "equals"),
        prices=_prices(model, day),
    )


def _own_model(entry: dict[str, Any]) -> Model:
    price = flat({k: v for k, v in entry.items() if k in RATES}, entry["vendor"], "")
    rates = Rates(above_tokens=0, **{rate: getattr(price, rate) for rate in RATES})
    rules = (Clause("starts", entry["starts_with"]),) if "starts_with" in entry else ()
    return Model(
        names=tuple(entry.get("names", ())),
        rules=rules,
        prices=(Dated(0, (rates,)),),
        source=f"prices.toml, checked {entry['checked']}",
    )


def _clause(match: Any) -> Clause:
    if isinstance(match, g.ClauseOr):
        return Clause("any", "", tuple(_clause(part) for part in match.or_))
    if isinstance(match, g.ClauseAnd):
        return Clause("all", "", tuple(_clause(part) for part in match.and_))
    if isinstance(match, g.ClauseRegex):
        return Clause("regex", match.regex)
    kind, field = KINDS[type(match)]
    return Clause(kind, getattr(match, field).lower())


def _alternatives(clause: Clause) -> list[Clause]:
    if clause.kind != "any":
        return [clause]
    return [each for part in clause.parts for each in _alternatives(part)]


def _prices(model: g.ModelInfo, day: date) -> tuple[Dated, ...]:
    """Rates as of the day, and those announced for later; none when one of them cannot be told."""
    starts = [day]
    if isinstance(model.prices, list):
        constraints = [each.constraint for each in model.prices]
        dates = [c.start_date for c in constraints if isinstance(c, g.StartDateConstraint)]
        starts += sorted({start for start in dates if start > day})
    found = []
    for number, start in enumerate(starts):
        rates = _rates(_dearest(model, start))
        if rates is None:
            return ()
        midnight = datetime.combine(start, time(), UTC)
        found.append(Dated(int(midnight.timestamp()) if number else 0, rates))
    return tuple(found)


def _dearest(model: g.ModelInfo, day: date) -> g.ModelPrice:
    # A price per hour of the day cannot be had when it is looked up once; billing the peak at
    # night is a known, safe error.
    midnight = datetime.combine(day, time(), UTC)
    moments = [midnight + timedelta(minutes=30 * i) for i in range(48)]
    return max((model.get_prices(moment) for moment in moments), key=_weight)


def _weight(price: g.ModelPrice) -> Decimal:
    return _at(price.input_mtok, 0) + _at(price.output_mtok, 0)


def _rates(price: g.ModelPrice) -> tuple[Rates, ...] | None:
    """Base and tiers; None when the model is billed in units that Usage does not count."""
    given = {name: value for name, value in vars(price).items() if value is not None}
    if not given.keys() <= KNOWN or not {"input_mtok", "output_mtok"} & given.keys():
        return None
    tiered = [value for value in given.values() if isinstance(value, g.TieredPrices)]
    starts = sorted({0} | {tier.start for value in tiered for tier in value.tiers})
    return tuple(_rates_above(given, start) for start in starts)


def _rates_above(given: dict[str, Any], start: int) -> Rates:
    values = {name: _at(value, start) for name, value in given.items()}
    read = values.get("input_mtok", Decimal(0))  # what has no rate of its own is billed as its side
    written = values.get("output_mtok", Decimal(0))
    sides = {rate: written if rate.startswith("output") else read for rate in RATES}
    sides["cache_write_1h"] = values.get("cache_write_mtok", read)
    usd = {rate: values.get(f"{rate}_mtok", side) for rate, side in sides.items()}
    pico = {rate: per_token_pico(usd[rate], rate) for rate in RATES}
    request = int(values.get("requests_kcount", Decimal(0)) * 10**9)
    return Rates(above_tokens=start, request=request, **pico)


def _at(price: Any, start: int) -> Decimal:
    """The rate for prompts just above a tier's start."""
    if isinstance(price, g.TieredPrices):
        return next((t.price for t in reversed(price.tiers) if t.start <= start), price.base)
    return price or Decimal(0)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    main()
