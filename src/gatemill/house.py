"""The composition root: settings -> Gateway, and what has to be closed again.

Rule: the only room that turns configured names into modules and knows every other room below.
"""

from __future__ import annotations

import functools
import hashlib
import ssl
from functools import partial
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill import __version__
from gatemill.core import ids
from gatemill.core.call import Price, Target, TargetSettings, Timeouts, target_label
from gatemill.gateway.admit import Gate
from gatemill.gateway.parts import Gateway
from gatemill.gateway.plan import Route, Routes
from gatemill.ledger.ledger import Ledger
from gatemill.observe.access import AccessLog, as_json, as_text
from gatemill.observe.metrics import Meter
from gatemill.policy.price_table import PriceBook, PriceTable
from gatemill.settings.vendors import vendors
from gatemill.upstream.inline import Inline
from gatemill.upstream.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Dialect, Transport
    from gatemill.observe.lines import LineWriter
    from gatemill.settings import Loaded
    from gatemill.settings.model import Provider, Settings

SURFACES = (
    "chat",
    "completions",
    "embeddings",
    "responses",
    "messages",
    "count_tokens",
    "inference",
)
_FREE = Price(0, 0, 0, 0, 0, 0, source="built in")


class House(Struct, frozen=True):
    """One running product."""

    gateway: Gateway
    ledger: Ledger
    access: AccessLog
    transports: Mapping[str, Transport]

    async def close(self) -> None:
        """Connections to providers are released; the ledger is flushed and closed."""
        for transport in self.transports.values():
            await transport.close()
        self.access.flush()
        await self.ledger.close()


def open_ledger(settings: Settings, clock: Clock) -> Ledger:
    """The ledger of these settings, current. Raises LedgerUnavailable and InvalidValue."""
    return Ledger.open(settings.data_dir, settings.stores.database or None, clock)


def build(
    loaded: Loaded,
    ledger: Ledger,
    clock: Clock,
    output: tuple[LineWriter, bool],
) -> House:
    """The parts for these settings; called on the event loop.

    `output` is the log and whether people read it. Raises OSError for an unreadable `ca_file`.
    """
    settings = loaded.settings
    meter = Meter()
    writer, pretty = output
    access = AccessLog(writer, as_text if pretty else as_json)
    transports = {n: _transport(n, p, clock) for n, p in settings.providers.items()}
    _export(meter, ledger, writer, access)
    gateway = Gateway(
        keys=ledger,
        gate=Gate(settings.limits.requests_in_flight, meter),
        routes=_routes(settings, transports, clock),
        surfaces={name: import_module(f"gatemill.wire.{name}") for name in SURFACES},
        record=ledger.record,
        meter=meter,
        access=access,
        clock=clock,
        now=clock.monotonic_s,
        new_id=ids.sequence("req_"),
        request_timeout_s=settings.server.request_timeout_s,
        json_depth_max=settings.limits.json_depth,
        version=_version(settings),
    )
    return House(gateway=gateway, ledger=ledger, access=access, transports=transports)


def _version(settings: Settings) -> str:
    """Twelve hex digits that change when any setting does, secrets included."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    for provider in settings.providers.values():
        for secret in (provider.api_key, *provider.headers.values()):
            text = secret.get_secret_value().encode() if secret else b""
            # With its length, so that no two rows of secrets run together into the same bytes.
            digest.update(b"%d:%b" % (len(text), text))
    return digest.hexdigest()[:12]


# --- Providers ---------------------------------------------------------------------------------


def _transport(name: str, provider: Provider, clock: Clock) -> Transport:
    vendor = vendors()[provider.kind]
    if vendor.dialect == "echo":
        return Inline(import_module("gatemill.providers.echo").respond, clock)
    headers = _headers(provider)
    assert provider.base_url is not None, f"checked when settings load: {name}"
    tls = _tls(provider.ca_file) if provider.base_url.startswith("https:") else None
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
        return made
    return Pool(provider.base_url, headers, connections_max=provider.connections_max, tls=tls)


@functools.cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """Trust of the system or of one file; shared, because reading it costs 0.8 MB and 20 ms."""
    return ssl.create_default_context(cafile=ca_file)


def _dialect(kind: str) -> Dialect:
    name = vendors()[kind].dialect
    # Echo answers in OpenAI's words, so it is read like OpenAI.
    dialect: Any = import_module(f"gatemill.providers.{'openai' if name == 'echo' else name}")
    found: Dialect = dialect
    return found


def _headers(provider: Provider) -> tuple[tuple[str, str], ...]:
    vendor = vendors()[provider.kind]
    headers = {"user-agent": f"gatemill/{__version__}"}
    secret = provider.api_key.get_secret_value() if provider.api_key else ""
    if secret and vendor.auth == "api-key":
        headers["api-key"] = secret
    elif vendor.auth == "dialect" or (secret and vendor.auth == "bearer"):
        headers.update(_dialect(provider.kind).secret_headers(secret))
    if provider.organization:
        headers["openai-organization"] = provider.organization
    if provider.project:
        headers["openai-project"] = provider.project
    # Those of the configuration come last and replace ours: no header is sent twice.
    headers.update({n.lower(): value.get_secret_value() for n, value in provider.headers.items()})
    return tuple(headers.items())


# --- Models ------------------------------------------------------------------------------------


def price_book(settings: Settings) -> PriceBook:
    """The shipped prices under those of the configuration."""
    table = PriceTable(files("gatemill").joinpath("data", "prices.json").read_bytes())
    own = {name: rates.model_dump(exclude_none=True) for name, rates in settings.prices.items()}
    return PriceBook(table, own)


def _routes(settings: Settings, transports: Mapping[str, Transport], clock: Clock) -> Routes:
    book = price_book(settings)

    def price(provider: str, model: str) -> Price | None:
        vendor = vendors()[settings.providers[provider].kind]
        if vendor.dialect == "echo":
            return _FREE
        return book.price(provider, vendor.prices, model, clock.unix_s())

    makers = {name: _maker(settings, name, transports[name], price) for name in settings.providers}
    own = {
        name: tuple(makers[t.provider](t.model) for t in model.targets)
        for name, model in settings.models.items()
    }
    routes = [
        Route(
            name=name,
            targets=own[name],
            weights=tuple(float(t.weight) for t in model.targets) if len(own[name]) > 1 else None,
            fallbacks=_further(own[name], [t for other in model.fallbacks for t in own[other]]),
            owner=", ".join(dict.fromkeys(t.provider for t in model.targets)),
            output_max=model.output_max,
        )
        for name, model in settings.models.items()
    ]
    if settings.server.direct_models:
        routes += [
            Route(name=f"{name}/*", targets=(makers[name]("*"),), owner=name)
            for name in settings.providers
            if f"{name}/*" not in settings.models
        ]
    return Routes(routes, price)


def _further(first: tuple[Target, ...], more: Sequence[Target]) -> tuple[Target, ...]:
    """Those of `more` that are not tried anyway; each once."""
    tried = {target.label for target in first}
    return tuple({t.label: t for t in more if t.label not in tried}.values())


def _maker(
    settings: Settings, name: str, transport: Transport, price: Callable[[str, str], Price | None]
) -> Callable[[str], Target]:
    """A function that makes a target of this provider for a model name."""
    provider = settings.providers[name]
    vendor = vendors()[provider.kind]
    dialect = _dialect(provider.kind)
    native = provider.native if provider.native is not None else vendor.native
    if vendor.dialect == "echo":
        native = ("chat", "embeddings")
    timeout = provider.timeout
    facts = TargetSettings(
        native=frozenset(native) if native is not None else None,
        path_prefix=vendor.versioned_prefix if provider.api_version else "",
        query=f"api-version={provider.api_version}" if provider.api_version else "",
        stream_usage=vendor.stream_usage,
        output_field=vendor.output_field,
        output_default=provider.output_default,
        refuse_hints=settings.server.unsupported_parameters == "refuse",
    )
    timeouts = Timeouts(
        connect_s=timeout.connect_s,
        first_token_s=timeout.first_token_s,
        between_chunks_s=timeout.between_chunks_s,
        total_s=timeout.total_s,
    )

    def make(model: str) -> Target:
        return Target(
            provider=name,
            model=model,
            dialect=dialect,
            transport=transport,
            timeouts=timeouts,
            price=None if model == "*" else price(name, model),
            settings=facts,
            label=target_label(name, model),
        )

    return make


# --- Numbers of parts that are not the gateway's ------------------------------------------------


def _export(meter: Meter, ledger: Ledger, writer: LineWriter, access: AccessLog) -> None:
    """The ledger's and the log's own counts become metrics."""
    counters = ledger.counters
    meter.gauges["gatemill_ledger_rows_pending"] = (
        "Usage rows in the journal that are not yet in the database.",
        lambda: counters.rows_pending,
    )
    for name, text in _LEDGER_COUNTERS.items():
        meter.counters[f"gatemill_ledger_{name}"] = (text, partial(getattr, counters, name))
    meter.counters["gatemill_log_batches_dropped"] = (
        "Batches of log lines dropped because nobody read them.",
        lambda: writer.dropped,
    )
    meter.counters["gatemill_access_lines_dropped"] = (
        "Request lines dropped because too many came between two flushes.",
        lambda: access.dropped,
    )


_LEDGER_COUNTERS = {
    "rows_written": "Usage rows committed.",
    "rows_lost": "Usage rows that neither journal nor memory could hold.",
    "rows_rejected": "Usage rows the database refused; they are in journal/rejected.txt.",
    "journal_errors": "Writes that the journal refused.",
    "commit_errors": "Transactions that failed; their rows are tried again.",
}
