from __future__ import annotations

from pathlib import Path

import pytest

from gatemill.settings.references import SECRET_BYTES_MAX
from settings_files import loaded, refused


def key(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    toml = f'[providers.openai]\nkind = "openai"\napi_key = "{text}"\n'
    provider = loaded(folder, toml, environ).settings.providers["openai"]
    assert provider.api_key is not None
    return provider.api_key.get_secret_value()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("x-${A}-${B_2}", "x-one-two"),
        ("$${A}", "${A}"),
        ("$${A}${A}", "${A}one"),
        ("$A", "$A"),
        ("plain", "plain"),
    ],
)
def test_variables_stand_for_their_values(tmp_path: Path, text: str, value: str) -> None:
    assert key(tmp_path, text, {"A": "one", "B_2": "two"}) == value


def test_variables_work_in_lists_and_in_options_that_are_no_secrets(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, '[server]\nallowed_hosts = ["a.${D}", "b"]\n', {"D": "example.org"}
    ).settings
    assert settings.server.allowed_hosts == ("a.example.org", "b")


def test_a_secret_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("  sk-1\n")
    assert key(tmp_path, f"file:{tmp_path}/secret") == "sk-1"


def test_headers_are_secrets_and_may_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sk-1")
    toml = f'[providers.openai.headers]\nx-token = "file:{tmp_path}/secret"\n'
    headers = loaded(tmp_path, toml).settings.providers["openai"].headers
    assert headers["x-token"].get_secret_value() == "sk-1"


def test_an_unset_or_empty_variable_is_named_with_its_line(tmp_path: Path) -> None:
    toml = '[server]\nhost = "${H}"\nallowed_hosts = [\n "a",\n "${E}${no}${}",\n]\n'
    assert refused(tmp_path, toml, {"E": ""}) == [
        "gatemill.toml:2: server.host: the environment variable H is not set; export it",
        "gatemill.toml:5: server.allowed_hosts.1: ${} is not a variable; write $${ for a literal ${",
        "gatemill.toml:5: server.allowed_hosts.1: the environment variable E is not set; export it",
        "gatemill.toml:5: server.allowed_hosts.1: the environment variable no is not set; export it",
    ]


def test_a_secret_file_that_is_missing_empty_or_binary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff" * (SECRET_BYTES_MAX + 1))
    toml = "".join(
        f'[providers.{name}]\nkind = "vllm"\napi_key = "file:{tmp_path}/{name}"\n'
        for name in ("missing", "empty", "binary")
    )
    assert refused(tmp_path, toml) == [
        (
            "gatemill.toml:3: providers.missing.api_key: the secret file missing cannot be read:"
            " No such file or directory"
        ),
        "gatemill.toml:6: providers.empty.api_key: the secret file empty is empty",
        (
            "gatemill.toml:9: providers.binary.api_key: the secret file binary cannot be read:"
            " not a text file"
        ),
    ]


def test_only_secrets_are_read_from_files(tmp_path: Path) -> None:
    settings = loaded(tmp_path, '[server]\ndata_dir = "file:/etc/hostname"\n').settings
    assert settings.server.data_dir == "file:/etc/hostname"


def test_an_option_that_is_no_text_takes_a_value_from_a_variable(tmp_path: Path) -> None:
    text = '[server]\nport = "${PORT}"\nopenapi = "${SHOW}"\nallowed_hosts = "${HOSTS}"\n'
    environ = {"PORT": "9000", "SHOW": "false", "HOSTS": '["a"]'}
    server = loaded(tmp_path, text, environ).settings.server
    assert (server.port, server.openapi, server.allowed_hosts) == (9000, False, ("a",))
    assert refused(tmp_path, '[server]\nport = "${PORT}"\n', {"PORT": "x y"}) == [
        'gatemill.toml:2: server.port: expected a whole number, found "x y"'
    ]


def test_a_value_in_quotes_without_a_variable_stays_a_text(tmp_path: Path) -> None:
    assert refused(tmp_path, '[server]\nport = "9000"\n') == [
        'gatemill.toml:2: server.port: expected a whole number, found "9000"'
    ]
