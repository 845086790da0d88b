"""Vendor rows: what differs between providers that speak one dialect. Rule: facts come from data/compatible.toml."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

import msgspec


class Vendor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One row of compatible.toml; the fields are explained at the head of that file."""

    kind: str
    dialect: str
    base_url: str
    auth: Literal["bearer", "api-key", "dialect", "none"]
    source: str
    checked: date
    base_url_example: str = ""
    base_url_variable: str = ""
    key_variables: tuple[str, ...] = ()
    native: tuple[str, ...] | None = None  # None = all that the dialect offers
    stream_usage: bool = True
    output_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    patterns: tuple[str, ...] = ()
    prices: str = ""
    probe: bool = False
    owned_by: str = ""
    versioned_prefix: str = ""


@functools.cache
def vendors() -> Mapping[str, Vendor]:
    """All rows by kind, in the order of the file."""
    text = files("gatemill").joinpath("data", "compatible.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)
    return MappingProxyType(
        {kind: msgspec.convert({"kind": kind, **row}, Vendor) for kind, row in rows.items()}
    )
