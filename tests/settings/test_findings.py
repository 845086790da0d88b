"""What a configuration asks for that will not work, or that is dangerous."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatemill.core.finding import FAILURE, OK, WARNING
from gatemill.settings import load
from gatemill.settings.findings import extras, keys, together

PUBLIC = '[server]\nhost = "0.0.0.0"\n'
REDIS = '[stores]\ncounters = "redis://127.0.0.1"\n'


def loaded(tmp_path: Path, text: str):
    file = tmp_path / "gatemill.toml"
    file.write_text(text)
    return load(file, {}, {"server.discover": False}, lister=None)


@pytest.mark.parametrize(
    ("text", "package", "option", "fix"),
    [
        ('[stores]\ndatabase = "postgresql://h/d"', "asyncpg", "stores.database", "postgres"),
        (REDIS, "hiredis", "stores.counters", "redis"),
        ('[jobs]\ndispatch = "rabbitmq"\nbroker = "amqp://h"', "aio_pika", "jobs.dispatch", "rabbitmq"),
        ('[auth]\npublic_url = "https://a.example"\n[auth.oidc]\nissuer = "https://b.example"\nclient_id = "c"',
         "jwt", "auth.oidc", "oidc"),
        ('[telemetry]\nendpoint = "http://127.0.0.1:4318"', "opentelemetry.proto", "telemetry.endpoint", "otel"),
        ('[local.m]\ntask = "embed"\nsource = "file:./m"', "onnxruntime", "local.m", "local"),
        ('[[models.echo.guards.input]]\nguard = "presidio"\n[models.echo]\ntargets = ["echo/echo"]',
         "presidio_analyzer", "guards", "presidio"),
    ],
)  # fmt: skip
def test_a_package_that_is_missing_is_named_with_its_extra(tmp_path, text, package, option, fix):
    settings = loaded(tmp_path, text).settings
    missing = list(extras(settings, lambda name: name != package))
    assert [(one.mark, one.fix) for one in missing] == [(FAILURE, f"pip install 'gatemill[{fix}]'")]
    assert missing[0].text == f"{option} needs {package}"
    (good,) = extras(settings, lambda _: True)
    assert good.mark == OK


def test_a_configuration_without_extras_says_nothing_of_them(tmp_path):
    assert list(extras(loaded(tmp_path, "").settings, lambda _: False)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", []),
        (PUBLIC, ["speaks TLS", "administration is answered"]),
        (PUBLIC + 'admin_port = 8701\n[auth]\npublic_url = "https://a.example"', []),
        ('[server]\nadmin_port = 8701\nadmin_host = "10.0.0.1"', ["10.0.0.1 can be reached"]),
        (PUBLIC + 'log_level = "debug"', ["TLS", "administration", "log_level is debug"]),
        ("[server]\nworkers = 2\n" + REDIS + "[cache]\nttl_s = 60", ["with 2 workers"]),
        ("[server]\nworkers = 2\n" + REDIS, []),
        ('[guards]\non_failure = "pass"\ninput = [{ guard = "pii" }]', ["nothing is guarded"]),
    ],
)
def test_settings_that_are_dangerous_together_are_warned_of(tmp_path, text, said):
    found = list(together(loaded(tmp_path, text).settings))
    assert len(found) == len(said)
    for finding, words in zip(found, said, strict=True):
        assert finding.mark == WARNING
        assert words in finding.text
        assert finding.fix


def test_several_keys_are_a_key_too(tmp_path):
    assert list(keys(loaded(tmp_path, '[providers.openai]\napi_keys = ["a", "b"]'))) == []
