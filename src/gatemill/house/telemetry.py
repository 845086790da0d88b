"""Traces of the settings -> the tracer. Rule: one for the process; a reload takes it over."""

from __future__ import annotations

import random
import secrets
import socket
from functools import partial
from typing import TYPE_CHECKING

import structlog

from gatemill.core.errors import ExtraNotInstalled
from gatemill.core.version import VERSION
from gatemill.observe import semconv
from gatemill.observe.otlp import Receiver
from gatemill.observe.spans import Maker
from gatemill.observe.trace import Terms, Tracer

if TYPE_CHECKING:
    from gatemill.house.root import House
    from gatemill.observe.metrics import Meter
    from gatemill.settings import Loaded

_FOUND = "env OTEL_"  # origin of an endpoint that nobody wrote for us


def tracer_of(loaded: Loaded, previous: House | None) -> Tracer | None:
    """The tracer, where there is a receiver. Raises ExtraNotInstalled."""
    if previous is not None:
        return previous.gateway.tracer
    said = loaded.settings.telemetry
    if not said.endpoint:
        return None
    try:
        receiver = Receiver(
            said.endpoint,
            {name: value.get_secret_value() for name, value in said.headers.items()},
            {
                semconv.SERVICE_NAME: said.service_name,
                semconv.SERVICE_VERSION: VERSION,
                semconv.SERVICE_INSTANCE_ID: f"{socket.gethostname()}-{secrets.token_hex(4)}",
            },
            said.timeout_s,
        )
    except ExtraNotInstalled as error:
        if not loaded.origins.get("telemetry.endpoint", "").startswith(_FOUND):
            raise
        structlog.get_logger().warning("traces_not_sent", reason=error.message)
        return None
    kinds = {name: provider.kind for name, provider in loaded.settings.providers.items()}
    terms = Terms(said.sample_share, said.trust_incoming, said.queue_max, said.flush_timeout_s)
    maker = Maker(semconv.VERSIONS[said.genai_semconv], kinds)
    return Tracer(terms, maker, receiver, random.random, secrets.randbits)


def export_telemetry(meter: Meter, tracer: Tracer | None) -> None:
    """The counts of the tracer become metrics; they are 0 where there is none."""
    meter.gauges["gatemill_telemetry_waiting"] = (
        "Requests and jobs whose spans are not sent yet.",
        partial(_read, tracer, "waiting"),
    )
    for name, (field, text) in _COUNTERS.items():
        meter.counters[f"gatemill_telemetry_{name}"] = (text, partial(_read, tracer, field))


def _read(tracer: Tracer | None, field: str) -> float:
    return 0 if tracer is None else float(getattr(tracer, field))


_COUNTERS = {
    "spans_sent": ("sent", "Spans that the receiver took."),
    "spans_dropped": (
        "dropped",
        "Spans given up, because too many waited or the receiver did not take them.",
    ),
    "batches_refused": (
        "refused",
        "Tries to send a batch of spans that failed; another is made where that may help.",
    ),
}
