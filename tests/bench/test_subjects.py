import sys

import pytest
from bench.failures import BenchStopped
from bench.subjects import Options, Place

from bench import payloads, subjects
from gatemill.settings.load import load


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path, 8123, "127.0.0.1:9100")


def test_gatemills_configuration_is_one_that_gatemill_accepts(place):
    subjects.build("gatemill", place, Options())
    settings = load(place.folder / "bench-config.toml", {}, {}).settings
    target = settings.models[payloads.MODEL].targets[0]
    assert settings.providers[target.provider].base_url == "http://127.0.0.1:9100/v1"


def test_gatemills_key_is_known_once_it_is_written(place):
    subject = subjects.build("gatemill", place, Options())
    assert subject.headers() is None
    (place.folder / "data").mkdir()
    (place.folder / "data" / "dev.key").write_text("gm-dev-1\n")
    assert subject.headers() == {"authorization": "Bearer gm-dev-1"}


def test_another_checkout_is_started_from_its_sources(place, tmp_path):
    subject = subjects.build("before", place, Options(before=tmp_path))
    assert subject.command[3:5] == (f"PYTHONPATH={tmp_path}/src", sys.executable)


def test_gatemill_may_keep_its_compiled_modules(place):
    subject = subjects.build("gatemill", place, Options())
    assert subject.command[:4] == ("env", "-u", "PYTHONDONTWRITEBYTECODE", sys.executable)


def test_any_proxy_can_be_a_subject(place):
    options = Options(extra="mine=proxy --port {port} --to 'http://{upstream}/v1'")
    subject = subjects.build("mine", place, options)
    assert subject.command == ("proxy", "--port", "8123", "--to", "http://127.0.0.1:9100/v1")
    assert "mine" in subjects.available(options)


def test_nginx_streams_through_a_location_without_buffering(place):
    subject = subjects.build("nginx", place, Options())
    config = (place.folder / "nginx.conf").read_text()
    assert subject.stream_url == "http://127.0.0.1:8123/stream/v1/chat/completions"
    assert "location /stream/ { proxy_pass http://provider/; proxy_buffering off; }" in config


def test_litellm_is_a_subject_only_where_it_is_installed(tmp_path):
    command = tmp_path / "litellm"
    assert "litellm" not in subjects.available(Options(litellm=str(command)))
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    assert "litellm" in subjects.available(Options(litellm=str(command)))


def test_an_unknown_subject_is_refused_with_code_2(place):
    with pytest.raises(BenchStopped, match="no subject 'before'") as stopped:
        subjects.build("before", place, Options())
    assert stopped.value.code == 2
