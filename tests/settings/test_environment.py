from __future__ import annotations

from pathlib import Path

import pytest

from settings_files import loaded, refused


def value(tmp_path: Path, name: str, text: str, path: str, file: str = "") -> object:
    here: object = loaded(tmp_path, file, {name: text}).settings
    for part in path.split("."):
        here = here[part] if isinstance(here, dict) else getattr(here, part)
    return here


@pytest.mark.parametrize(
    ("name", "text", "path", "expected"),
    [
        ("GATEMILL_SERVER__PORT", "9000", "server.port", 9000),
        ("GATEMILL_SERVER__HOST", "0.0.0.0", "server.host", "0.0.0.0"),
        ("GATEMILL_SERVER__HOST", '"::1"', "server.host", "::1"),
        ("GATEMILL_SERVER__OPENAPI", "false", "server.openapi", False),
        ("GATEMILL_SERVER__ALLOWED_HOSTS", '["a", "b"]', "server.allowed_hosts", ("a", "b")),
        ("GATEMILL_SERVER__LOG_LEVEL", "debug", "server.log_level", "debug"),
        ("GATEMILL_LIMITS__BODY_IDLE_S", "2.5", "limits.body_idle_s", 2.5),
        ("GATEMILL_DATA_DIR", "/var/gm", "server.data_dir", "/var/gm"),
        ("GATEMILL_PROVIDERS__NEW__KIND", "vllm", "providers.new.kind", "vllm"),
    ],
)
def test_a_variable_sets_an_option(tmp_path: Path, name, text, path, expected) -> None:
    assert value(tmp_path, name, text, path) == expected


def test_a_key_of_digits_stays_a_text(tmp_path: Path) -> None:
    environ = {"GATEMILL_PROVIDERS__OPENAI__API_KEY": "123456789012"}
    provider = loaded(tmp_path, "[providers.openai]\n", environ).settings.providers["openai"]
    assert provider.api_key is not None
    assert provider.api_key.get_secret_value() == "123456789012"


def test_a_key_from_the_environment_is_not_expanded_again(tmp_path: Path) -> None:
    environ = {"GATEMILL_PROVIDERS__OPENAI__API_KEY": "a${b}c"}
    provider = loaded(tmp_path, "", environ).settings.providers["openai"]
    assert provider.api_key is not None
    assert provider.api_key.get_secret_value() == "a${b}c"


def test_a_secret_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-file\n")
    environ = {"GATEMILL_PROVIDERS__OPENAI__API_KEY": f"file:{tmp_path}/key"}
    provider = loaded(tmp_path, "", environ).settings.providers["openai"]
    assert provider.api_key is not None
    assert provider.api_key.get_secret_value() == "sk-file"


def test_names_of_tables_are_matched_without_case_and_dashes(tmp_path: Path) -> None:
    file = '[providers."My-Llm.1"]\nkind = "vllm"\n'
    path = "GATEMILL_PROVIDERS__MY_LLM_1__TIMEOUT__TOTAL_S"
    settings = loaded(tmp_path, file, {path: "7"}).settings
    assert set(settings.providers) == {"My-Llm.1", "echo", "builtin", "local"}
    assert settings.providers["My-Llm.1"].timeout.total_s == 7.0


def test_one_value_of_a_table_leaves_the_others(tmp_path: Path) -> None:
    file = "[providers.openai]\ntimeout = { connect_s = 1, total_s = 5 }\n"
    environ = {"GATEMILL_PROVIDERS__OPENAI__TIMEOUT__TOTAL_S": "9"}
    result = loaded(tmp_path, file, environ)
    timeout = result.settings.providers["openai"].timeout
    assert (timeout.connect_s, timeout.total_s) == (1.0, 9.0)
    assert result.origins["providers.openai.timeout.connect_s"].endswith("gatemill.toml:2")


def test_a_whole_table_can_be_given(tmp_path: Path) -> None:
    environ = {"GATEMILL_MODELS__FAST": '{ targets = ["echo/echo"] }'}
    result = loaded(tmp_path, "", environ | {"GATEMILL_PROVIDERS__ECHO__KIND": "echo"})
    assert result.settings.models["fast"].targets[0].provider == "echo"
    assert result.origins["models.fast.targets.0.provider"] == "env GATEMILL_MODELS__FAST"


def test_an_unknown_name_is_an_error_with_the_nearest_one(tmp_path: Path) -> None:
    environ = {
        "GATEMILL_SERVR__PORT": "1",
        "GATEMILL_CONFIGG": "x",
        "GATEMILL_SERVER__": "1",
        "GATEMILL_NOTHING_LIKE_IT": "1",
        "GATEMILL_SERVER__PORT__X": "1",
    }
    assert refused(tmp_path, "", environ) == [
        "env GATEMILL_CONFIGG: unknown setting (did you mean GATEMILL_CONFIG?)",
        "env GATEMILL_NOTHING_LIKE_IT: unknown setting",
        "env GATEMILL_SERVER__: unknown setting (did you mean GATEMILL_SERVER?)",
        "env GATEMILL_SERVER__PORT__X: unknown setting (did you mean GATEMILL_SERVER__PORT?)",
        "env GATEMILL_SERVR__PORT: unknown setting (did you mean GATEMILL_SERVER__PORT?)",
    ]


def test_a_wrong_value_names_the_variable(tmp_path: Path) -> None:
    assert refused(tmp_path, "", {"GATEMILL_SERVER__PORT": "http"}) == [
        'env GATEMILL_SERVER__PORT: expected a whole number, found "http"'
    ]


def test_two_variables_that_contradict_are_refused(tmp_path: Path) -> None:
    environ = {
        "GATEMILL_PROVIDERS__OPENAI__TIMEOUT": "9",
        "GATEMILL_PROVIDERS__OPENAI__TIMEOUT__TOTAL_S": "8",
    }
    assert refused(tmp_path, "", environ) == [
        "env GATEMILL_PROVIDERS__OPENAI__TIMEOUT__TOTAL_S: contradicts another GATEMILL_ variable"
    ]


def test_variables_that_others_read_are_left_alone(tmp_path: Path) -> None:
    names = ("GATEMILL_API_KEY", "GATEMILL_URL", "GATEMILL_GOLDEN", "GATEMILL_CONSUME_FROM")
    environ = dict.fromkeys(names, "x")
    assert loaded(tmp_path, "", environ).settings.server.port == 8700
