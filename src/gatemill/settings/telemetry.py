"""Options of traces. Rule: values only; OpenTelemetry's own variables are read in otel.py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gatemill.settings.secret import Secret
from gatemill.settings.section import Count, Seconds, Section, Share, UrlOrNothing


class Telemetry(Section):
    """Traces, sent over OTLP/HTTP to a collector of one's own."""

    endpoint: UrlOrNothing = Field(
        "",
        description="Base URL of an OTLP/HTTP receiver, such as `http://127.0.0.1:4318`; empty sends nothing.",
    )
    headers: dict[str, Secret] = Field({}, description="Headers added to everything sent there.")
    sample_share: Share = Field(
        0.1,
        description="Share of the requests and jobs that are traced, where nobody else decides.",
    )
    trust_incoming: bool = Field(
        default=False,
        description="Whether a caller's `traceparent` decides if its request is traced.",
    )
    service_name: str = Field(
        "gatemill", min_length=1, max_length=200, description="Name of this service in traces."
    )
    genai_semconv: Literal["latest", "1.41"] = Field(
        "latest", description="Version of OpenTelemetry's GenAI conventions that names follow."
    )
    queue_max: Count = Field(
        2048, le=100_000, description="Most requests whose spans wait to be sent; more are dropped."
    )
    timeout_s: Seconds = Field(
        10.0, description="Time that the receiver has for one batch of spans."
    )
    flush_timeout_s: float = Field(
        2.0, ge=0, le=60, description="Time that the last spans get at shutdown."
    )
    trace_url: str = Field(
        "",
        max_length=1000,
        pattern=r"^(https?://\S*\{trace_id\}\S*)?$",
        description="Where a trace is shown, with `{trace_id}` in it; the dashboard links to it.",
    )
