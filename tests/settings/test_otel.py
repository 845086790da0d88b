"""OpenTelemetry's own variables: what they mean for [telemetry], and that ours win."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatemill.settings.errors import ConfigErrors
from gatemill.settings.load import load

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def loaded(environ, text: str = "", tmp_path: Path | None = None):
    path = None
    if tmp_path is not None:
        path = tmp_path / "gatemill.toml"
        path.write_text(text)
    return load(path, environ, {}, lister=None)


def test_an_endpoint_brings_headers_a_name_and_a_share():
    found = loaded(
        {
            ENDPOINT: "http://collector:4318/",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20abc, x-team = a ,broken",
            "OTEL_SERVICE_NAME": "gate",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.5",
        }
    )
    said = found.settings.telemetry
    assert said.endpoint == "http://collector:4318"
    assert {name: value.get_secret_value() for name, value in said.headers.items()} == {
        "authorization": "Bearer abc",
        "x-team": "a",
    }
    assert (said.service_name, said.sample_share) == ("gate", 0.5)
    assert found.origins["telemetry.endpoint"] == f"env {ENDPOINT}"


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:1/x/v1/traces"}, "http://a:1/x"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:1/own/path"}, ""),
        ({ENDPOINT: "http://a:1", "OTEL_SDK_DISABLED": "true"}, ""),
        ({ENDPOINT: "http://a:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ""),
        ({ENDPOINT: "http://a:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, "http://a:1"),
        ({"OTEL_SERVICE_NAME": "nothing-is-sent"}, ""),
    ],
)
def test_only_what_we_can_speak_to_is_an_endpoint(environ, endpoint):
    assert loaded(environ).settings.telemetry.endpoint == endpoint


@pytest.mark.parametrize(
    ("sampler", "share"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_on"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "traceidratio"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "x"}, 0.1),
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, 0.1),
    ],
)
def test_a_sampler_is_a_share(sampler, share):
    assert loaded({ENDPOINT: "http://a:1", **sampler}).settings.telemetry.sample_share == share


def test_what_is_configured_wins(tmp_path):
    found = loaded({ENDPOINT: "http://a:1"}, '[telemetry]\nendpoint = ""\n', tmp_path)
    assert found.settings.telemetry.endpoint == ""
    ours = loaded({ENDPOINT: "http://a:1", "GATEMILL_TELEMETRY__ENDPOINT": "http://b:2"})
    assert ours.settings.telemetry.endpoint == "http://b:2"


def test_an_endpoint_that_is_no_url_names_its_variable():
    with pytest.raises(ConfigErrors) as refused:
        loaded({ENDPOINT: "collector:4318"})
    assert f"env {ENDPOINT}: expected a URL" in str(refused.value)
