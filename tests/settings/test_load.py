from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from gatemill.policy.price import flat
from gatemill.settings import ConfigErrors, load
from settings_files import OWN_MODELS, loaded, refused

WHOLE = """\
[server]
port = 9000
request_timeout_s = 30

[providers.main]
kind = "openai"
api_key = "${MAIN_KEY}"
timeout = { connect_s = 1, total_s = 20.5 }
headers = { x-team = "search" }

[providers.groq]
timeout = 9

[models.fast]
targets = [
  { provider = "main", model = "gpt-x", weight = 9 },
  "groq/qwen/qwen3-32b",
]
fallbacks = ["smart"]

[models.smart]
targets = ["main/gpt-big"]

[models."exp-*"]
targets = ["main/*"]

[prices."main/gpt-x"]
input = 0.1
output = 3
"""


def test_without_a_file_there_is_the_echo_model(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = load(None, {}, {}, lister=None)
    assert result.path is None
    assert list(result.settings.models) == ["echo", *OWN_MODELS]
    assert result.settings.providers["echo"].kind == "echo"
    assert result.origins["models.echo.targets.0.model"] == "built in"
    assert result.origins["server.port"] == "default"


def test_every_form_of_value_arrives(tmp_path: Path) -> None:
    settings = loaded(tmp_path, WHOLE, {"MAIN_KEY": "sk-main"}).settings
    assert settings.server.port == 9000
    assert settings.server.request_timeout_s == 30.0
    main = settings.providers["main"]
    assert main.api_key is not None
    assert main.api_key.get_secret_value() == "sk-main"
    assert (main.timeout.connect_s, main.timeout.total_s) == (1.0, 20.5)
    assert main.headers["x-team"].get_secret_value() == "search"
    assert settings.providers["groq"].kind == "groq"
    assert settings.providers["groq"].timeout.total_s == 9.0
    fast = settings.models["fast"]
    assert [(t.provider, t.model, t.weight) for t in fast.targets] == [
        ("main", "gpt-x", 9),
        ("groq", "qwen/qwen3-32b", 1),
    ]
    assert settings.models["exp-*"].targets[0].model == "*"


def test_a_provider_gets_the_url_of_its_kind(tmp_path: Path) -> None:
    result = loaded(tmp_path, WHOLE, {"MAIN_KEY": "k"})
    assert result.settings.providers["groq"].base_url == "https://api.groq.com/openai/v1"
    assert result.origins["providers.groq.base_url"] == "kind groq"


def test_prices_are_exact(tmp_path: Path) -> None:
    rates = loaded(tmp_path, WHOLE, {"MAIN_KEY": "k"}).settings.prices["main/gpt-x"]
    assert rates.input == Decimal("0.1")
    price = flat(rates.model_dump(exclude_none=True), "prices.main/gpt-x", "the file")
    assert (price.input, price.cache_read, price.output) == (100_000, 100_000, 3_000_000)


def test_flags_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    environ = {"GATEMILL_SERVER__PORT": "9001", "GATEMILL_SERVER__HOST": "::1"}
    text = '[server]\nport = 9000\nhost = "127.0.0.2"\nlog = "json"\n'
    result = loaded(tmp_path, text, environ, server__port=9002, server__data_dir=None)
    assert result.settings.server.port == 9002
    assert result.settings.server.host == "::1"
    assert result.origins["server.port"] == "flag --port"
    assert result.origins["server.host"] == "env GATEMILL_SERVER__HOST"
    assert result.origins["server.log"].endswith("gatemill.toml:4")
    assert result.origins["server.data_dir"] == "default"


def test_each_value_of_a_target_knows_its_line(tmp_path: Path) -> None:
    origins = loaded(tmp_path, WHOLE, {"MAIN_KEY": "k"}).origins
    assert origins["models.fast.targets.0.weight"].endswith(":16")
    assert origins["models.fast.targets.1.model"].endswith(":17")
    assert origins["models.fast.targets.1.weight"].endswith(":17")
    assert origins['models."exp-*".targets.0.provider'].endswith(":25")
    assert origins["models.fast.output_max"] == "default"


def test_a_secret_prints_its_last_four_characters_and_no_more(tmp_path: Path) -> None:
    result = loaded(tmp_path, WHOLE, {"MAIN_KEY": "sk-0123456789abcd"})
    assert "0123456789" not in repr(result)
    assert str(result.settings.providers["main"].api_key) == "…abcd"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "").settings
    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1


# --- What is refused ---------------------------------------------------------------------------

BAD = """\
[server]
prot = 8700
port = "x"
log = "jsn"
host = "${NOPE}"
data_dir = ""
request_timeout_s = inf

[providers.openai]
kind = "opnai"
base_url = "openai.com"
timeout = { conect_s = 3, total_s = -1 }
connections_max = 2.5
headers = 3

[models.fast]
targets = [
  { provider = "opnai", model = "gpt-x", weight = 0 },
  { provider = "openai" },
  "openai", 7,
]
fallbacks = ["smrt", 3]
output_max = true
[models.smart]
targets = []
[prices.x]
input = "lots"
output = 1.23456789
[stores]
database = "mysql://x"
[extra]
"""


def test_everything_wrong_is_reported_at_once_by_line_in_plain_words(tmp_path: Path) -> None:
    errors = refused(tmp_path, BAD)
    f = "gatemill.toml"
    assert [error for error in errors if ":10:" not in error] == [
        f'{f}:2: server.prot: unknown key (did you mean "port"?)',
        f'{f}:3: server.port: expected a whole number, found "x"',
        (
            f'{f}:4: server.log: expected "auto", "json" or "pretty", found "jsn"'
            ' (did you mean "json"?)'
        ),
        f"{f}:5: server.host: the environment variable NOPE is not set; export it",
        f"{f}:6: server.data_dir: must not be empty",
        f"{f}:7: server.request_timeout_s: must be at most 86400, found inf",
        (
            f'{f}:11: providers.openai.base_url: expected a URL such as "https://host/v1",'
            ' found "openai.com"'
        ),
        f'{f}:12: providers.openai.timeout.conect_s: unknown key (did you mean "connect_s"?)',
        f"{f}:12: providers.openai.timeout.total_s: must be greater than 0, found -1",
        f"{f}:13: providers.openai.connections_max: expected a whole number, found 2.5",
        f"{f}:14: providers.openai.headers: expected a table, found 3",
        (
            f'{f}:18: models.fast.targets.0.provider: no provider is named "opnai"'
            ' (did you mean "openai"?)'
        ),
        f"{f}:18: models.fast.targets.0.weight: must be at least 1, found 0",
        (
            f"{f}:19: models.fast.targets.1.model: missing: the provider's name of the model;"
            " `*` is the name that was asked for"
        ),
        f'{f}:20: models.fast.targets.2: expected "provider/model", found "openai"',
        f"{f}:20: models.fast.targets.3: expected a table, found 7",
        f'{f}:22: models.fast.fallbacks.0: no model is named "smrt" (did you mean "smart"?)',
        f"{f}:22: models.fast.fallbacks.1: expected a text in quotes, found 3",
        f"{f}:23: models.fast.output_max: expected a whole number, found true",
        f"{f}:25: models.smart.targets: must not be empty",
        f'{f}:27: prices.x.input: expected a number, found "lots"',
        f"{f}:28: prices.x.output: has more than 6 decimals",
        (
            f'{f}:30: stores.database: write "sqlite:///path/to/file.db",'
            ' "postgresql://user:password@host/database", or leave it empty, found "mysql://x"'
        ),
        f"{f}:31: extra: unknown key",
    ]
    [kind] = [error for error in errors if ":10:" in error]
    assert kind.startswith(
        f'{f}:10: providers.openai.kind: no such kind: "opnai" (did you mean "openai"?);'
        " known are openai, anthropic,"
    )


def test_no_message_speaks_of_types_or_points_to_a_website(tmp_path: Path) -> None:
    text = "\n".join(refused(tmp_path, BAD)).lower()
    for jargon in ("pydantic", "input should", "tuple", "instance", "errors.pydantic", "literal"):
        assert jargon not in text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[server]\nport 3\n", "gatemill.toml:2: not TOML: expected = after the key"),
        (
            "[server]\nhost = local\n",
            "gatemill.toml:2: not TOML: expected a value; texts need quotes",
        ),
        ("[server\n", "gatemill.toml:1: not TOML: expected ']' at the end of a table declaration"),
        ('[a]\nb = "x', "gatemill.toml:2: not TOML: unterminated string"),
        (
            "[models.fast]\n\n[models.fast]\n",
            "gatemill.toml:3: models.fast: defined twice; keep one of them",
        ),
        ("[a]\nb = 1\nb = 2\n", "gatemill.toml:3: b: defined twice; keep one of them"),
        (
            "a = {\n b = 1 }\n",
            "gatemill.toml:1: not TOML: expected a key (a table in braces ends on its line)",
        ),
    ],
)
def test_a_syntax_error_has_its_line(tmp_path: Path, text: str, error: str) -> None:
    assert refused(tmp_path, text) == [error]


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "gatemill.toml"
    file.write_bytes(b"[server]\n# caf\xe9\n")
    with pytest.raises(ConfigErrors, match=r"gatemill\.toml:2: not UTF-8"):
        load(file, {}, {}, lister=None)


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="no such file; `gatemill init` writes one"):
        load(tmp_path / "x.toml", {}, {}, lister=None)
    with pytest.raises(ConfigErrors, match="no such file"):
        load(None, {"GATEMILL_CONFIG": str(tmp_path / "x.toml")}, {}, lister=None)
    with pytest.raises(ConfigErrors, match="cannot be read: Is a directory"):
        load(tmp_path, {}, {}, lister=None)


def test_the_file_of_the_working_directory_is_found(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gatemill.toml").write_text("[server]\nport = 1\n")
    result = load(None, {}, {}, lister=None)
    assert result.path == Path("gatemill.toml")
    assert result.origins["server.port"] == "gatemill.toml:2"


def test_a_wrong_flag_is_reported_as_a_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"flag --port: server\.port: must be at most 65535"):
        loaded(tmp_path, "", None, server__port=99_999)


def test_no_part_of_a_wrong_secret_is_printed(tmp_path: Path) -> None:
    errors = refused(tmp_path, "[providers.openai]\napi_key = 1234567890\n")
    assert errors == ["gatemill.toml:2: providers.openai.api_key: expected a text in quotes"]
