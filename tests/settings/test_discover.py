from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gatemill.settings import Loaded, load
from gatemill.settings.probe import Listed
from settings_files import OWN, OWN_MODELS, loaded, refused


def found(environ: dict[str, str], folder: Path, text: str = "") -> Loaded:
    return loaded(folder, text, environ)


def key_of(result: Loaded, name: str) -> str | None:
    key = result.settings.providers[name].api_key
    return key and key.get_secret_value()


def test_a_key_in_the_environment_brings_the_provider_and_its_model_names(tmp_path: Path) -> None:
    result = found({"OPENAI_API_KEY": " sk-1 ", "GOOGLE_API_KEY": "g"}, tmp_path)
    assert list(result.settings.providers) == ["openai", "gemini", "echo", *OWN]
    assert key_of(result, "openai") == "sk-1"
    assert key_of(result, "gemini") == "g"
    assert result.settings.models["gpt-*"].targets[0].model == "*"
    assert result.settings.models["text-embedding-*"].targets[0].provider == "openai"
    assert result.origins['models."gpt-*".targets.0.provider'] == "found OPENAI_API_KEY"
    assert result.origins["providers.gemini.api_key"] == "found GOOGLE_API_KEY"


def test_hints_name_the_variable_that_would_bring_more(tmp_path: Path) -> None:
    hints = found({"OPENAI_API_KEY": "sk-1"}, tmp_path).hints
    assert hints[0] == "claude-* - set ANTHROPIC_API_KEY"
    assert "groq/* - set GROQ_API_KEY" in hints
    assert not any(hint.startswith("gpt-*") for hint in hints)


def test_a_vendor_without_typical_names_is_reached_directly(tmp_path: Path) -> None:
    result = found({"GROQ_API_KEY": "x"}, tmp_path)
    assert "groq" in result.settings.providers
    assert list(result.settings.models) == ["echo", *OWN_MODELS]


def test_the_base_url_of_the_environment_is_respected(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "http://10.0.0.1/v1/"}
    result = found(environ, tmp_path)
    assert result.settings.providers["openai"].base_url == "http://10.0.0.1/v1"
    assert result.origins["providers.openai.base_url"] == "found OPENAI_BASE_URL"


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        (
            {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "http://localhost:8700/v1"},
            "OPENAI_BASE_URL",
        ),
        ({"OPENAI_API_KEY": "gm-abc"}, "OPENAI_API_KEY"),
    ],
)
def test_variables_meant_for_clients_of_this_gateway_make_no_loop(
    tmp_path: Path, environ: dict[str, str], variable: str
) -> None:
    result = found(environ, tmp_path)
    assert "openai" not in result.settings.providers
    assert result.hints[0] == f"gpt-* - {variable} leads to this gateway, so it is not used"
    configured = found(environ, tmp_path, "[providers.openai]\n")
    assert configured.settings.providers["openai"].base_url == "https://api.openai.com/v1"
    assert key_of(configured, "openai") is None


def test_another_port_on_this_machine_is_not_this_gateway(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "http://localhost:8700/v1"}
    result = found(environ, tmp_path, "[server]\nport = 9000\n")
    assert result.settings.providers["openai"].base_url == "http://localhost:8700/v1"


def test_a_malformed_base_url_of_the_environment_is_reported(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk", "OPENAI_BASE_URL": "http://["}
    assert refused(tmp_path, "", environ) == [
        "found OPENAI_BASE_URL: providers.openai.base_url: not a valid URL: Invalid IPv6 URL"
    ]


def test_azure_needs_its_url_from_the_file(tmp_path: Path) -> None:
    environ = {"AZURE_OPENAI_API_KEY": "az"}
    hints = found(environ, tmp_path).hints
    assert "azure/* - add [providers.azure] with its base_url" in hints
    assert not any("azure" in hint for hint in found({}, tmp_path).hints)
    text = '[providers.azure]\nbase_url = "https://me.openai.azure.com/openai/v1"\n'
    assert key_of(found(environ, tmp_path, text), "azure") == "az"


def test_what_the_file_configures_is_not_added_again(tmp_path: Path) -> None:
    text = '[providers.mine]\nkind = "openai"\napi_key = "k"\n[models.a]\ntargets = ["mine/x"]\n'
    result = found({"OPENAI_API_KEY": "sk", "ANTHROPIC_API_KEY": "a"}, tmp_path, text)
    assert list(result.settings.providers) == ["mine", "anthropic", "echo", *OWN]
    assert list(result.settings.models) == ["a", "claude-*", "echo", *OWN_MODELS]
    assert key_of(result, "mine") == "k"


def test_a_name_that_the_file_uses_for_something_else_is_left_alone(tmp_path: Path) -> None:
    text = '[providers.openai]\nkind = "vllm"\n[providers.echo]\nkind = "vllm"\n'
    result = found({"OPENAI_API_KEY": "sk"}, tmp_path, text)
    assert result.settings.providers["openai"].kind == "vllm"
    assert key_of(result, "openai") is None
    assert list(result.settings.models) == OWN_MODELS


def test_a_configured_vendor_gets_its_usual_names_when_no_models_are_configured(
    tmp_path: Path,
) -> None:
    result = found({}, tmp_path, '[providers.mine]\nkind = "anthropic"\napi_key = "k"\n')
    assert result.settings.models["claude-*"].targets[0].provider == "mine"
    assert result.origins['models."claude-*".targets.0.provider'] == "with providers.mine"


def test_a_key_of_the_environment_goes_to_its_vendor_only(tmp_path: Path) -> None:
    text = '[providers.mine]\nkind = "openai"\nbase_url = "https://elsewhere.example/v1"\n'
    result = found({"OPENAI_API_KEY": "sk-real"}, tmp_path, text)
    assert key_of(result, "mine") is None
    assert (
        key_of(found({"OPENAI_API_KEY": "sk"}, tmp_path, "[providers.openai]\n"), "openai") == "sk"
    )


def test_discovery_can_be_switched_off(tmp_path: Path) -> None:
    result = found({"OPENAI_API_KEY": "sk"}, tmp_path, "[server]\ndiscover = false\n")
    assert list(result.settings.providers) == ["echo", *OWN]
    assert result.hints == ()


# --- Servers on this machine ---------------------------------------------------------------------


class FakeServers:
    """Model lists by URL; remembers what was asked."""

    def __init__(self, **lists: Sequence[Listed]) -> None:
        ports = {"ollama": "11434", "vllm": "8000"}
        self.lists = {f"http://127.0.0.1:{ports[name]}/v1": found for name, found in lists.items()}
        self.asked: list[str] = []

    def __call__(self, base_url: str) -> Sequence[Listed]:
        self.asked.append(base_url)
        return self.lists.get(base_url, [])


def with_servers(folder: Path, servers: FakeServers, text: str = "") -> Loaded:
    file = folder / "gatemill.toml"
    file.write_text(text)
    return load(file, {}, {}, lister=servers)


def test_a_local_server_is_found_with_its_models(tmp_path: Path) -> None:
    servers = FakeServers(
        ollama=[Listed("llama3.2:3b", "library"), Listed("bad name"), Listed("x*")],
        vllm=[Listed("qwen/qwen3", "vllm")],
    )
    result = with_servers(tmp_path, servers)
    assert list(result.settings.models) == ["llama3.2:3b", "qwen/qwen3", "echo", *OWN_MODELS]
    assert result.settings.providers["vllm"].base_url == "http://127.0.0.1:8000/v1"
    assert result.origins["providers.ollama.kind"] == "found ollama on port 11434"


def test_the_first_server_that_has_a_model_keeps_its_name(tmp_path: Path) -> None:
    servers = FakeServers(ollama=[Listed("m")], vllm=[Listed("m", "vllm")])
    result = with_servers(tmp_path, servers)
    assert result.settings.models["m"].targets[0].provider == "ollama"


def test_another_server_on_the_port_of_vllm_is_ignored(tmp_path: Path) -> None:
    result = with_servers(tmp_path, FakeServers(vllm=[Listed("m", "somebody")]))
    assert list(result.settings.providers) == ["echo", *OWN]


def test_servers_of_a_configured_kind_are_not_asked(tmp_path: Path) -> None:
    servers = FakeServers()
    with_servers(tmp_path, servers, '[providers.gpu]\nkind = "vllm"\n[providers.ollama]\n')
    assert servers.asked == []
    with_servers(tmp_path, servers, "[server]\ndiscover = false\n")
    assert servers.asked == []
