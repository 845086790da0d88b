"""LiteLLM's configuration becomes ours, and what does not is named with its line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from cli_run import Command, clean_environment, entered
from gatemill.cli.failure import Failure
from gatemill.cli.litellm.importing import drafted, mistakes
from gatemill.cli.litellm.known import known
from gatemill.settings import vendors

SHAPES = Path(__file__).with_name("shapes.yaml")
VARIABLES = {
    "OPENAI_API_KEY": "k",
    "ANTHROPIC_API_KEY": "k",
    "AZURE_API_KEY": "k",
    "AZURE_API_BASE": "https://mine.openai.azure.com",
    "XAI_API_KEY": "k",
    "HOUSE_KEY": "k",
    "TEAM": "blue",
    "REDIS_HOST": "127.0.0.1",
    "REDIS_PASSWORD": "p",
    "REDIS_URL": "redis://127.0.0.1/1",
}


@pytest.fixture
def gatemill(capsys, monkeypatch, tmp_path) -> Command:
    return entered(capsys, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def made() -> dict:
    draft, text = drafted(SHAPES)
    assert mistakes(draft, text, {}) == []
    return tomllib.loads(text)


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    lines = SHAPES.read_text().splitlines()
    draft, _ = drafted(SHAPES)
    for remark in draft.remarks:  # each names the line of what it speaks of
        key = remark.path.removeprefix("model_list: ").split(": ")[-1].split(".")[-1]
        around = " ".join(lines[remark.line - 1 : remark.line + 1])
        assert key.isdecimal() or key in around, remark
    return {remark.path: f"{remark.mark} {remark.text}" for remark in draft.remarks}


def test_the_new_file_passes_check_and_the_report_has_every_line(gatemill, tmp_path):
    result = gatemill("config", "import", str(SHAPES))
    assert (result.code, result.out) == (0, "")
    lines = result.err.splitlines()
    assert sum(line.startswith("✗ ") for line in lines) > 15
    assert f"✗ {SHAPES}:1" in result.err
    assert "Set before the start: ANTHROPIC_API_KEY, AZURE_API_BASE, " in result.err
    assert (tmp_path / "gatemill.toml").stat().st_mode & 0o777 == 0o600
    assert gatemill("check", **VARIABLES).code == 0
    again = gatemill("config", "import", str(SHAPES))
    assert (again.code, again.err.splitlines()[0]) == (
        2,
        "gatemill: gatemill.toml exists already",
    )


def test_the_report_is_json_too(gatemill):
    told = msgspec.json.decode(
        gatemill("config", "import", str(SHAPES), "-o", "-", "--json", **VARIABLES).out
    )
    assert (told["file"], told["deployments"], told["carried"]) == (None, 16, 8)
    assert told["variables_missing"] == []
    assert {"left_out", "file", "line", "path", "text"} == told["remarks"][0].keys()
    assert 'api_key = "${OPENAI_API_KEY}"' in gatemill("config", "import", str(SHAPES), "-o-").out


def test_providers_are_one_for_each_way_to_reach_them(made):
    providers = made["providers"]
    assert providers["openai"] == {
        "kind": "openai",
        "organization": "org-1",
        "api_key": "${HOUSE_KEY}",
        "timeout": {
            "total_s": 600,
        },
        "queue": {"concurrency_max": 16},
    } | {"timeout": providers["openai"]["timeout"]}
    assert providers["azure"]["base_url"] == "${AZURE_API_BASE}/openai"
    assert providers["azure"]["api_version"] == "2024-10-21"
    assert providers["hosted_vllm"]["base_url"] == "http://10.0.0.5:8000/v1"
    assert providers["hosted_vllm"]["headers"] == {"x-team": "${TEAM}"}
    assert providers["hosted_vllm"]["queue"] == {"concurrency_max": 8}
    assert providers["xai"]["base_url"] == "https://api.x.ai/v1"
    assert providers["xai"]["api_key"] == "${XAI_API_KEY}"
    assert providers["xai"]["timeout"]["total_s"] == 45
    assert [
        p["base_url"] for p in providers.values() if "llm.example" in p.get("base_url", "")
    ] == ["https://llm.example/v1"]


def test_deployments_of_one_name_are_its_targets(made):
    quick = made["models"]["quick"]
    assert [target.get("weight") for target in quick["targets"]] == [3, 1]
    assert quick["targets"][0]["context_tokens"] == 128000
    assert quick["limits"] == {"requests_per_minute": 800, "tokens_per_minute": 90000}
    assert made["models"]["own"]["limits"]["budgets"] == {"day": {"usd": 12.5}}
    assert made["models"]["gpt-*"]["targets"] == ["openai/*"]
    assert "anthropic/*" not in made["models"]
    (price,) = made["prices"].values()
    assert price == {"input": 0.15, "output": 0.6}


def test_fallbacks_lead_on_and_never_in_a_circle(made, said):
    models = made["models"]
    assert models["quick"]["fallbacks"] == ["own", "claude", "grok"]
    assert models["fast"]["targets"] == models["quick"]["targets"]
    assert models["own"]["fallbacks"] == ["claude"]
    assert "circle" in said["router_settings.fallbacks.1.own.0"]
    assert "pattern" in said["router_settings.fallbacks.2.claude.0"]
    assert "no model is named ghost" in said["router_settings.fallbacks.2.claude.1"]
    assert "no model is named nobody" in said["router_settings.fallbacks.3.nobody"]
    assert "no model is named nobody" in said["router_settings.model_group_alias.ghost"]
    assert "already" in said["router_settings.model_group_alias.own"]


def test_options_of_the_whole_gateway_are_carried_over(made):
    assert made["server"] == {"log_level": "debug", "log": "json"}
    assert made["retries"] == {"attempts_max": 3, "backoff_s": 2, "backoff_max_s": 8}
    assert made["breaker"] == {"failures": 5, "window_s": 60, "open_s": 30, "open_max_s": 300}
    assert (
        made["cache"] == {"ttl_s": 900, "similar_model": "own", "similar_min": 0.9} | made["cache"]
    )
    assert made["stores"] == {
        "counters": "redis://:${REDIS_PASSWORD}@${REDIS_HOST}:6380/0",
        "cache": "${REDIS_URL}",
        "usage_retention_days": 45,
    }
    assert made["limits"]["requests_in_flight"] == 100
    assert made["limits"]["default"] == {
        "requests_per_minute": 60,
        "tokens_per_minute": 10000,
        "concurrency": 4,
        "budgets": {"month": {"usd": 5}},
    }


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("model_list: titan", "✗ AWS signatures"),
        ("model_list: painter", "✗ image_generation: pictures"),
        ("model_list: speaker", "✗ audio_speech"),
        ("model_list: two words", "✗ a model's name"),
        ("model_list: a-*", "✗ a pattern passes on"),
        ("model_list: riddle", "✗ who has this model"),
        ("model_list: nowhere", "✗ api_base"),
        ("model_list: half", "✗ needs model_name"),
        ("model_list: anthropic/*", "! anthropic/MODEL reaches"),
        ("model_list: own: litellm_params.temperature", "✗ requests are not changed"),
        ("model_list: quick: litellm_params.max_retries", "✗ [retries] is one"),
        ("litellm_settings.callbacks", "✗ usage is in the ledger"),
        ("litellm_settings.no_such_option", "✗ is not known here"),
        ("litellm_settings.default_key_generate_params.models", "✗ is said when a key is made"),
        ("litellm_settings.cache_params.redis_startup_nodes", "✗ a Redis cluster"),
        ("general_settings.master_key", "✗ keys are kept as digests"),
        ("general_settings.database_url", "✗ use an empty database"),
        ("environment_variables", "✗ Gatemill reads"),
        ("guardrails", "✗ guards are configured"),
        ("something_new", "✗ is not known"),
        ("router_settings.routing_strategy", "! rpm and tpm are weights"),
    ],
)
def test_what_is_not_the_same_is_said_with_what_there_is_instead(said, path, text):
    assert said[path].startswith(text)


def test_what_needs_nothing_is_not_mentioned(said):
    assert not [path for path in said if path.endswith(("drop_params", "supports_vision", ".id"))]


LAUGHS = "".join(
    f"{name}: &{name} [{','.join([value] * 10)}]\n"
    for name, value in (("a", "1"), ("b", "*a"), ("c", "*b"), ("d", "*c"), ("e", "*d"))
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "litellm.yaml:1: not YAML: "),
        ("- a\n- b", "litellm.yaml: expected a table"),
        ("include: [gone.yaml]", "litellm.yaml:1: include: there is no file gone.yaml"),
        (LAUGHS, "litellm.yaml: more than 100000 values"),
        ("\x01", "litellm.yaml: not YAML: "),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(gatemill, tmp_path, text, message):
    (tmp_path / "litellm.yaml").write_text(text)
    result = gatemill("config", "import", "litellm.yaml")
    assert result.code == 2
    assert result.err.startswith(f"gatemill: {message}")
    assert not (tmp_path / "gatemill.toml").exists()


def test_included_files_are_read_and_named(gatemill, tmp_path):
    (tmp_path / "more.yaml").write_text(
        "model_list:\n  - model_name: b\n    litellm_params: {model: bedrock/x}\n"
    )
    (tmp_path / "one.yaml").write_text(
        "include: [more.yaml, one.yaml]\nmodel_list:\n"
        "  - {model_name: a, litellm_params: {model: ollama/llama3, api_base: 'http://h:1'}}\n"
    )
    result = gatemill("config", "import", "one.yaml", "-o", "x.toml")
    assert "✗ more.yaml:2: model_list: b: AWS" in result.err
    assert gatemill("check", "x.toml").code == 0
    assert 'base_url = "http://h:1/v1"' in (tmp_path / "x.toml").read_text()


def test_an_empty_file_makes_an_empty_one(gatemill, tmp_path):
    (tmp_path / "e.yaml").write_text("# nothing\n")
    assert gatemill("config", "import", "e.yaml").code == 0
    assert gatemill("check").code == 0


def test_without_the_package_the_way_to_it_is_said(tmp_path):
    script = "import sys; sys.modules['yaml'] = None; from gatemill.cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", script, "config", "import", str(SHAPES)],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'gatemill[yaml]'" in done.stderr


def test_every_row_of_the_vendors_leads_somewhere():
    for prefix, vendor in known().providers.items():
        assert bool(vendor.kind) != bool(vendor.instead), prefix
        assert vendor.kind in ("", *vendors()), prefix
    assert set(known().bare_modes.values()) <= set(known().modes)
    assert set(known().bare.values()) <= set(known().providers)


def test_aliases_of_text_and_number_are_refused_where_they_do_not_fit(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "model_list: [{model_name: a, litellm_params: {model: gpt-4o, timeout: long}}]\n"
        "router_settings: {routing_strategy: psychic, timeout: x, num_retries: many,"
        " allowed_fails: some, cooldown_time: x, stream_timeout: x}\n"
        "general_settings: {maximum_spend_logs_retention_period: forever}\n"
    )
    draft, text = drafted(file)
    assert mistakes(draft, text, {}) == []
    assert len([one for one in draft.remarks if one.mark == "✗"]) == 8
    with pytest.raises(Failure):
        drafted(tmp_path / "gone.yaml")
