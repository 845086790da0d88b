"""What OpenTelemetry's own variables say, for [telemetry]. Rule: our settings win, and nothing else reads them.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/, checked 2026-11-21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gatemill.settings.errors import Origin
from gatemill.settings.layers import Layer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.settings.errors import Path

_PREFIX = "OTEL_EXPORTER_OTLP_"
_TRACES_PATH = "/v1/traces"
_RATIOS = ("traceidratio", "parentbased_traceidratio")
_SHARES = {"always_on": 1.0, "always_off": 0.0}


def found(environ: Mapping[str, str]) -> Layer:
    """The settings that the variables mean; to be put under all that was configured."""
    layer = Layer()
    if _said(environ, "OTEL_SDK_DISABLED").lower() == "true":
        return layer
    variable, endpoint = _endpoint(environ)
    if not endpoint:
        return layer
    _put(layer, ("telemetry", "endpoint"), endpoint, variable)
    for name, value in _headers(environ).items():
        _put(layer, ("telemetry", "headers", name), value, _PREFIX + "HEADERS")
    if name := _said(environ, "OTEL_SERVICE_NAME"):
        _put(layer, ("telemetry", "service_name"), name, "OTEL_SERVICE_NAME")
    ratio = _ratio(environ)
    if ratio is not None:
        _put(layer, ("telemetry", "sample_share"), ratio, "OTEL_TRACES_SAMPLER")
    return layer


def _put(layer: Layer, path: Path, value: Any, variable: str) -> None:
    layer.put(path, value, Origin(f"env {variable}"))


def _said(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _endpoint(environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable, and the base URL in it; "" for a receiver that does not speak OTLP/HTTP."""
    protocol = _said(environ, _PREFIX + "TRACES_PROTOCOL") or _said(environ, _PREFIX + "PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        return "", ""
    own = _PREFIX + "TRACES_ENDPOINT"
    if (url := _said(environ, own)).endswith(_TRACES_PATH):
        return own, url.removesuffix(_TRACES_PATH)
    general = _PREFIX + "ENDPOINT"
    return general, _said(environ, general)


def _headers(environ: Mapping[str, str]) -> dict[str, str]:
    text = _said(environ, _PREFIX + "TRACES_HEADERS") or _said(environ, _PREFIX + "HEADERS")
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}


def _ratio(environ: Mapping[str, str]) -> float | None:
    sampler = _said(environ, "OTEL_TRACES_SAMPLER").lower()
    if sampler in _RATIOS:
        try:
            return float(_said(environ, "OTEL_TRACES_SAMPLER_ARG") or "1")
        except ValueError:
            return None
    return _SHARES.get(sampler.removeprefix("parentbased_"))
