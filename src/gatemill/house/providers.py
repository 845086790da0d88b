"""Providers of the settings -> transports and targets.

Rule: the only place that knows how a vendor is reached and what its keys look like.
"""

from __future__ import annotations

import functools
import ssl
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatemill.core.call import Target, TargetSettings, Timeouts, target_label
from gatemill.core.version import VERSION
from gatemill.local.builtin.cards import PROVIDER as BUILTIN
from gatemill.local.builtin.engine import Builtins
from gatemill.policy.breaker import BreakerSettings
from gatemill.settings.vendors import vendors
from gatemill.upstream.inline import Inline
from gatemill.upstream.lane import LaneSettings
from gatemill.upstream.oip import InferenceServer
from gatemill.upstream.pool import Pool
from gatemill.wire.predict_text import PredictText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Dialect, Lane, Transport
    from gatemill.house.models import Prices
    from gatemill.local.shelf import Shelf
    from gatemill.settings.model import Provider, Settings
    from gatemill.upstream.keys import KeyPool
    from gatemill.upstream.lane import Lanes


_BUILT_IN = ("echo", "local")
_INFERENCE_SERVER = "oip"  # its answers are turned into ours before anybody reads them
_NATIVE: dict[str, tuple[str, ...]] = {
    "echo": ("chat", "embeddings"),
    BUILTIN: ("chat", "embeddings", "predict", "rerank"),
    "local": ("chat", "completions", "embeddings", "predict", "rerank"),
}


def transport_of(name: str, provider: Provider, clock: Clock, shelf: Shelf) -> Transport:
    """The way to a provider. Raises OSError for an unreadable `ca_file`."""
    vendor = vendors()[provider.kind]
    if provider.kind == BUILTIN:
        return Builtins(clock)
    if vendor.dialect == "local":
        return shelf
    if vendor.dialect == "echo":
        return Inline(import_module("gatemill.providers.echo").respond, clock)
    headers = headers_of(provider)
    assert provider.base_url is not None, f"checked when settings load: {name}"
    tls = tls_of(provider.ca_file) if provider.base_url.startswith("https:") else None
    if provider.proxy is not None:
        # aiohttp takes 0.2 s to import, which only those who need a proxy pay.
        proxied: Any = import_module("gatemill.upstream.proxied")
        made: Transport = proxied.Proxied(
            provider.base_url,
            headers,
            proxy=provider.proxy,
            tls=tls,
            connections_max=provider.connections_max,
        )
    else:
        made = Pool(provider.base_url, headers, connections_max=provider.connections_max, tls=tls)
    return InferenceServer(made) if provider.kind == _INFERENCE_SERVER else made


@functools.cache
def tls_of(ca_file: str | None) -> ssl.SSLContext:
    """Trust of the system or of one file; shared, because reading it costs 0.8 MB and 20 ms."""
    return ssl.create_default_context(cafile=ca_file)


def dialect_of(kind: str) -> Dialect:
    """The format that a kind of provider speaks."""
    name = vendors()[kind].dialect
    # What is built in answers in OpenAI's words, so it is read like OpenAI.
    spoken = "openai" if name in _BUILT_IN else name
    dialect: Any = import_module(f"gatemill.providers.{spoken}")
    found: Dialect = dialect
    return found


def headers_of(provider: Provider) -> tuple[tuple[str, str], ...]:
    """The headers of every request to a provider; without a key where a pool of them sends its own."""
    headers = {"user-agent": f"gatemill/{VERSION}"}
    secret = provider.api_key.get_secret_value() if provider.api_key else ""
    if not provider.api_keys:
        headers.update(secret_headers_of(provider, secret))
    if provider.organization:
        headers["openai-organization"] = provider.organization
    if provider.project:
        headers["openai-project"] = provider.project
    # Those of the configuration come last and replace ours: no header is sent twice.
    headers.update({n.lower(): value.get_secret_value() for n, value in provider.headers.items()})
    return tuple(headers.items())


def secret_headers_of(provider: Provider, secret: str) -> tuple[tuple[str, str], ...]:
    """The headers that carry a key to this kind of provider."""
    vendor = vendors()[provider.kind]
    if secret and vendor.auth == "api-key":
        return (("api-key", secret),)
    if vendor.auth == "dialect" or (secret and vendor.auth == "bearer"):
        return dialect_of(provider.kind).secret_headers(secret)
    return ()


# --- Targets -------------------------------------------------------------------------------------


class Maker:
    """Makes the targets of one provider."""

    def __init__(
        self, settings: Settings, name: str, transport: Transport, prices: Prices, lanes: Lanes
    ) -> None:
        provider = settings.providers[name]
        vendor = vendors()[provider.kind]
        self._name = name
        self._transport = transport
        self._prices = prices
        self._lanes = lanes
        self._dialect = dialect_of(provider.kind)
        self._lane_settings = lane_settings_of(settings, name)
        self._keys = pool_of(name, provider, lanes)
        timeout = provider.timeout
        self._timeouts = Timeouts(
            timeout.connect_s, timeout.first_token_s, timeout.between_chunks_s, timeout.total_s
        )
        self._facts = TargetSettings(
            native=native_of(provider),
            base_url=provider.base_url or "",
            path_prefix=vendor.versioned_prefix if provider.api_version else "",
            query=f"api-version={provider.api_version}" if provider.api_version else "",
            stream_usage=vendor.stream_usage,
            output_field=vendor.output_field,
            output_default=provider.output_default,
            refuse_hints=settings.server.unsupported_parameters == "refuse",
            is_internal=provider.internal,
        )

    def __call__(self, model: str, context_tokens: int | None = None, version: str = "") -> Target:
        """The target for one of the provider's models; `*` for a pattern."""
        return Target(
            provider=self._name,
            model=model,
            dialect=self._dialect,
            transport=self._transport,
            timeouts=self._timeouts,
            price=None if model == "*" else self._prices.of(self._name, model),
            settings=self._facts,
            lane=self.lane(model),
            label=target_label(self._name, model),
            context_tokens=context_tokens,
            version=version,
        )

    def lane(self, model: str) -> Lane:
        """The way to one of its models, with the breaker that an earlier configuration left."""
        return self._lanes.of(target_label(self._name, model), self._lane_settings, self._keys)


def native_of(provider: Provider) -> frozenset[str] | None:
    """The operations that go to a provider as they came; None for those of its dialect."""
    vendor = vendors()[provider.kind]
    native = provider.native if provider.native is not None else vendor.native
    native = _NATIVE.get(provider.kind, native)
    if native is None:
        return None
    # The short form of predict goes out as the long one.
    more = (PredictText.NAME,) if "predict" in native else ()
    return frozenset((*native, *more))


def makers_of(
    settings: Settings, transports: Mapping[str, Transport], prices: Prices, lanes: Lanes
) -> dict[str, Maker]:
    """One for each provider."""
    return {
        name: Maker(settings, name, transports[name], prices, lanes) for name in settings.providers
    }


def pool_of(name: str, provider: Provider, lanes: Lanes) -> KeyPool | None:
    """The provider's keys, where it has several."""
    if not provider.api_keys:
        return None
    secrets = [key.get_secret_value() for key in provider.api_keys]
    return lanes.keys(name, secrets, lambda secret: secret_headers_of(provider, secret))


def lane_settings_of(settings: Settings, name: str) -> LaneSettings:
    """How each target of a provider is treated."""
    provider = settings.providers[name]
    breaker = provider.breaker or settings.breaker
    queue = provider.queue
    return LaneSettings(
        breaker=BreakerSettings(
            window_s=breaker.window_s,
            failure_share=breaker.failure_share,
            attempts_min=breaker.attempts_min,
            failures=breaker.failures,
            open_s=breaker.open_s,
            open_max_s=breaker.open_max_s,
            ramp_s=breaker.ramp_s,
        ),
        last_target=breaker.last_target,
        budget_share=settings.retries.budget_share,
        budget_floor=settings.retries.budget_floor,
        concurrency_max=queue.concurrency_max,
        waiting_max=queue.waiting_max,
        wait_s=queue.wait_s,
    )
