"""Which price a model has. Rule: asked once per configured model, never per call; unknown is None, never 0.

The table is data/prices.json, made by scripts/compile_prices.py. A vendor's models are decoded when
the first of them is asked for, and the whole table may be dropped once the configuration is built.
Models are matched as genai-prices matches them: the first in the vendor's order whose names or rules
fit, then those of the vendors it resells, then again with a compact date spelt out.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from gatemill.core.call import Price
from gatemill.core.errors import InvalidType
from gatemill.policy.price import flat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")

_TESTS: dict[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "starts": str.startswith,
    "ends": str.endswith,
    "contains": str.__contains__,
    "regex": lambda name, pattern: re.search(pattern, name) is not None,
}


class Clause(Struct, frozen=True, array_like=True):
    """A test of a lower-case name."""

    kind: str  # of `_TESTS`, or any, all
    text: str = ""
    parts: tuple[Clause, ...] = ()

    def fits(self, name: str) -> bool:
        """The name passes."""
        if self.kind == "any":
            return any(part.fits(name) for part in self.parts)
        if self.kind == "all":
            return all(part.fits(name) for part in self.parts)
        return _TESTS[self.kind](name, self.text)


class Rates(Struct, frozen=True, array_like=True):
    """Pico-dollars per token from a prompt size on."""

    above_tokens: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    output_audio: int
    request: int = 0  # pico-dollars


class Dated(Struct, frozen=True, array_like=True):
    """Rates from a moment on: the base first, then the tiers in ascending order."""

    from_s: int  # Unix time
    rates: tuple[Rates, ...]


class Model(Struct, frozen=True, omit_defaults=True):
    """Names that share a price."""

    names: tuple[str, ...] = ()
    rules: tuple[Clause, ...] = ()
    prices: tuple[Dated, ...] = ()  # ascending; empty: the model is known, its price is not
    source: str = ""  # "" = the table's

    def fits(self, name: str) -> bool:
        """The lower-case name is one of this model's."""
        return name in self.names or any(rule.fits(name) for rule in self.rules)


class Vendor(Struct, frozen=True, omit_defaults=True):
    """Models of one vendor; the order decides."""

    models: tuple[Model, ...]
    resells: tuple[str, ...] = ()  # vendors whose models it offers at their prices


class Table(Struct, frozen=True):
    """The file."""

    source: str  # the package it was made from
    compiled: str  # date
    notice: str
    aliases: tuple[tuple[str, Clause], ...]  # vendor, test of another name for it
    vendors: dict[str, Raw]  # of Vendor


class PriceTable:
    """The prices shipped with this release."""

    def __init__(self, data: bytes) -> None:
        """Raises msgspec.DecodeError when `data` is not data/prices.json, which a test rules out."""
        self._table = msgspec.json.decode(data, type=Table)
        self._vendors: dict[str, Vendor] = {}  # decoded so far, at most those of the file
        self.source = f"{self._table.source}, compiled {self._table.compiled}"

    def price(self, vendor: str, model: str, now_s: float) -> Price | None:
        """The price in force at a Unix time; None when vendor, model or price is unknown."""
        found = self._find(vendor.strip().lower(), model.lower())
        if found is None or not found.prices:
            return None
        dated = found.prices[0]
        for each in found.prices:
            if each.from_s <= now_s:
                dated = each
        source = found.source or self.source
        tiers = tuple(_price(rates, (), source) for rates in dated.rates[1:])
        return _price(dated.rates[0], tiers, source)

    def _find(self, vendor: str, name: str) -> Model | None:
        shop = self._vendor(vendor) or self._vendor(self._alias(vendor))
        if shop is None:
            return None
        return self._match(shop, name) or self._match(shop, _with_dashes(name))

    def _match(self, vendor: Vendor, name: str) -> Model | None:
        for shop in (vendor, *map(self._vendor, vendor.resells)):
            for model in shop.models if shop else ():
                if model.fits(name):
                    return model
        return None

    def _alias(self, name: str) -> str:
        return next((vendor for vendor, test in self._table.aliases if test.fits(name)), "")

    def _vendor(self, name: str) -> Vendor | None:
        if name not in self._vendors and name in self._table.vendors:
            self._vendors[name] = msgspec.json.decode(self._table.vendors[name], type=Vendor)
        return self._vendors.get(name)


class PriceBook:
    """The shipped prices under those of the configuration."""

    def __init__(self, table: PriceTable, overrides: Mapping[str, object]) -> None:
        """`overrides` maps "model" or "provider/model" to dollars per million, see `price.flat`.

        Raises InvalidValue and InvalidType naming `prices.<model>`.
        """
        self._table = table
        self._overrides = {name: _override(name, rates) for name, rates in overrides.items()}

    def price(self, provider: str, vendor: str, model: str, now_s: float) -> Price | None:
        """The price of an upstream's model: "provider/model", else "model", else the table's."""
        own = self._overrides.get(f"{provider}/{model}") or self._overrides.get(model)
        return own or self._table.price(vendor, model, now_s)


def _override(name: str, rates: object) -> Price:
    if not isinstance(rates, dict):
        raise InvalidType(
            f"prices.{name} must be a table such as {{ input = 2.5, output = 10 }}.",
            param=f"prices.{name}",
        )
    return flat(rates, f"prices.{name}", "config")


def _price(rates: Rates, tiers: tuple[Price, ...], source: str) -> Price:
    return Price(
        input=rates.input,
        output=rates.output,
        cache_read=rates.cache_read,
        cache_write=rates.cache_write,
        cache_write_1h=rates.cache_write_1h,
        input_audio=rates.input_audio,
        output_audio=rates.output_audio,
        request=rates.request,
        above_tokens=rates.above_tokens,
        tiers=tiers,
        source=source,
    )


def _with_dashes(name: str) -> str:
    # Some tools write gpt-5.2-20251211 where the vendor writes gpt-5.2-2025-12-11.
    return _COMPACT_DATE.sub(_dashed, name)


def _dashed(match: re.Match[str]) -> str:
    year, month, day = match.groups()
    try:
        return f"-{date(int(year), int(month), int(day)).isoformat()}"
    except ValueError:  # 30 February
        return match[0]
