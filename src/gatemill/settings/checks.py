"""Checks across sections: providers, names and targets; model_checks.py has the ways between models.

Rule: works on the raw tree and tolerates wrong types, so that one mistake does not hide another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from gatemill.settings.errors import Path, meant
from gatemill.settings.guard_checks import guard_problems
from gatemill.settings.layers import table
from gatemill.settings.local_checks import served_problems
from gatemill.settings.model_checks import Problem, model_problems
from gatemill.settings.vendors import vendors

_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """(path, message) of everything that single values cannot show."""
    providers = table(tree, "providers")
    models = table(tree, "models")
    for name, provider in providers.items():
        if isinstance(provider, dict):
            yield from _provider(name, provider)
    for name, model in models.items():
        yield from _name(name)
        if isinstance(model, dict):
            yield from _targets(name, model, providers)
    yield from served_problems(tree)
    yield from model_problems(tree)
    yield from guard_problems(tree)
    yield from _alerts(table(tree, "alerts"))


def _provider(name: str, provider: Mapping[str, Any]) -> Iterator[Problem]:
    path = ("providers", name)
    if not _PROVIDER_NAME.fullmatch(name):
        yield path, "a provider's name has letters, digits, - _ . only: it stands in provider/model"
    if provider.get("api_key") is not None and provider.get("api_keys"):
        yield (
            (*path, "api_keys"),
            "has api_key beside it: keep one of them; api_keys takes one, too",
        )
    vendor = vendors().get(str(provider.get("kind")))
    if vendor is None or vendor.dialect in ("echo", "local"):
        return
    if provider.get("base_url") is None:
        example = f", for example {vendor.base_url_example}" if vendor.base_url_example else ""
        yield (*path, "base_url"), f'missing: kind "{vendor.kind}" has no common one{example}'
    base_url = provider.get("base_url")
    if vendor.dialect == "anthropic" and str(base_url).rstrip("/").endswith("/v1"):
        yield (*path, "base_url"), "leave out /v1: this kind adds it itself"
    ca_file = provider.get("ca_file")
    if isinstance(ca_file, str) and not File(ca_file).is_file():
        yield (*path, "ca_file"), f"there is no file {ca_file}"


def _name(name: str) -> Iterator[Problem]:
    path = ("models", name)
    if not name or not name.isprintable() or any(sign.isspace() for sign in name):
        yield path, "a model's name is printable and without spaces"
    elif "**" in name:
        yield path, "malformed pattern: one * already stands for any characters"
    elif "*" in name and set(name) & set("?[]"):
        yield path, "malformed pattern: * is the only special character; ? and [ ] are not allowed"


def _targets(
    name: str, model: Mapping[str, Any], providers: Mapping[str, Any]
) -> Iterator[Problem]:
    targets = model.get("targets")
    for index, target in enumerate(targets if isinstance(targets, list) else []):
        path: Path = ("models", name, "targets", index)
        provider: Any
        upstream: Any
        names_provider = names_model = path
        if isinstance(target, str):
            provider, _, upstream = target.partition("/")
        elif isinstance(target, dict):
            provider, upstream = target.get("provider"), target.get("model")
            names_provider, names_model = (*path, "provider"), (*path, "model")
        else:
            continue
        if isinstance(provider, str) and provider and provider not in providers:
            yield names_provider, f'no provider is named "{provider}"{_remedy(provider, providers)}'
        if upstream == "*" and "*" not in name:
            yield (
                names_model,
                'a target "*" is the name that was asked for, so it needs a pattern as name',
            )


def _remedy(provider: str, providers: Mapping[str, Any]) -> str:
    near = meant(provider, providers)
    vendor = vendors().get(provider)
    if near or vendor is None or not vendor.key_variables:
        return near or f"; add [providers.{provider}]"
    return f"; set {vendor.key_variables[0]} or add [providers.{provider}]"


def _alerts(alerts: Mapping[str, Any]) -> Iterator[Problem]:
    if alerts.get("webhook") is not None and alerts.get("secret") is None:
        yield (
            ("alerts", "webhook"),
            'needs a secret to be signed with; add secret = "whsec_" and base64',
        )
