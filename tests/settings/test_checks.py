from __future__ import annotations

from pathlib import Path

import pytest

from settings_files import OWN_MODELS, loaded, refused

ECHO = '[providers.e]\nkind = "echo"\n'


def models(**fallbacks: str) -> str:
    return ECHO + "".join(
        f'[models."{name}"]\ntargets = ["e/x"]\nfallbacks = {listed}\n'
        for name, listed in fallbacks.items()
    )


def test_a_circle_of_fallbacks_is_reported_once_where_it_closes(tmp_path: Path) -> None:
    text = models(a='["b"]', b='["c", "d"]', c='["a"]', d='["d"]')
    assert refused(tmp_path, text) == [
        "gatemill.toml:11: models.c.fallbacks.0: fallbacks go in a circle: a -> b -> c -> a",
        "gatemill.toml:14: models.d.fallbacks.0: fallbacks go in a circle: d -> d",
    ]


def test_shared_fallbacks_are_no_circle(tmp_path: Path) -> None:
    text = models(a='["b", "c"]', b='["d"]', c='["d"]', d="[]")
    assert set(loaded(tmp_path, text).settings.models) == {"a", "b", "c", "d", "echo", *OWN_MODELS}


def test_a_long_chain_of_fallbacks_is_fine(tmp_path: Path) -> None:
    chain = {f"m{i}": f'["m{i + 1}"]' for i in range(1500)}
    assert len(loaded(tmp_path, models(**chain, m1500="[]")).settings.models) == 1502 + len(
        OWN_MODELS
    )


def test_a_fallback_is_a_configured_model_and_no_pattern(tmp_path: Path) -> None:
    text = models(**{"abcd": '["abce", "e/other", "g-*"]', "g-*": "[]"})
    f = "gatemill.toml:5: models.abcd.fallbacks"
    assert refused(tmp_path, text) == [
        f'{f}.0: no model is named "abce" (did you mean "abcd"?)',
        f'{f}.1: no model is named "e/other"; add [models."e/other"]',
        f'{f}.2: a fallback is one model, and "g-*" is a pattern',
    ]


def test_a_known_vendor_without_its_key_is_explained(tmp_path: Path) -> None:
    text = '[models.a]\ntargets = ["anthropic/claude-x", "openi/x", "zzz/x"]\n'
    f = "gatemill.toml:2: models.a.targets"
    assert refused(tmp_path, text, {"OPENAI_API_KEY": "sk-x"}) == [
        f'{f}.0: no provider is named "anthropic"; set ANTHROPIC_API_KEY or add [providers.anthropic]',
        f'{f}.1: no provider is named "openi" (did you mean "openai"?)',
        f'{f}.2: no provider is named "zzz"; add [providers.zzz]',
    ]


@pytest.mark.parametrize("name", ["a**", "g[pt]-*", "g?t-*"])
def test_a_malformed_pattern_is_refused(tmp_path: Path, name: str) -> None:
    [error] = refused(tmp_path, f'{ECHO}[models."{name}"]\ntargets = ["e/x"]\n')
    assert error.startswith(f'gatemill.toml:3: models."{name}": malformed pattern: ')


@pytest.mark.parametrize("name", ["", "a b", "a\\u0007"])
def test_a_model_name_is_printable_and_without_spaces(tmp_path: Path, name: str) -> None:
    [error] = refused(tmp_path, f'{ECHO}[models."{name}"]\ntargets = ["e/x"]\n')
    assert error.endswith("a model's name is printable and without spaces")


def test_the_name_that_was_asked_for_needs_a_pattern(tmp_path: Path) -> None:
    text = f'{ECHO}[models.a]\ntargets = ["e/*", {{ provider = "e", model = "*" }}]\n'
    why = 'a target "*" is the name that was asked for, so it needs a pattern as name'
    assert refused(tmp_path, text) == [
        f"gatemill.toml:4: models.a.targets.0: {why}",
        f"gatemill.toml:4: models.a.targets.1.model: {why}",
    ]


def test_a_provider_name_must_fit_before_a_slash(tmp_path: Path) -> None:
    [error] = refused(tmp_path, '[providers."a/b"]\nkind = "openai"\n')
    assert "it stands in provider/model" in error


def test_a_kind_without_a_common_url_needs_one(tmp_path: Path) -> None:
    assert refused(tmp_path, "[providers.azure]\n") == [
        (
            'gatemill.toml:1: providers.azure.base_url: missing: kind "azure" has no common one,'
            " for example https://NAME.openai.azure.com/openai/v1"
        )
    ]


def test_the_version_is_not_part_of_an_anthropic_url(tmp_path: Path) -> None:
    assert refused(tmp_path, '[providers.anthropic]\nbase_url = "https://h/v1/"\n') == [
        "gatemill.toml:2: providers.anthropic.base_url: leave out /v1: this kind adds it itself"
    ]


def test_a_certificate_file_must_exist(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    text = '[providers.vllm]\nca_file = "{}/ca.pem"\n'
    assert loaded(tmp_path, text.format(tmp_path)).settings.providers["vllm"].ca_file
    [error] = refused(tmp_path, text.format(tmp_path / "no"))
    assert "providers.vllm.ca_file: there is no file " in error


@pytest.mark.parametrize(
    "url",
    ["ftp://h", "https://", "h", "http://h:99999", "http://h/v1?x=1", "http://h/#a", "http://["],
)
def test_a_bad_url_is_refused(tmp_path: Path, url: str) -> None:
    [error] = refused(tmp_path, f'[providers.vllm]\nbase_url = "{url}"\n')
    assert error.startswith("gatemill.toml:2: providers.vllm.base_url: ")


def test_an_unknown_operation_is_refused(tmp_path: Path) -> None:
    [error] = refused(tmp_path, '[providers.vllm]\nnative = ["chat", "chatt"]\n')
    assert error.startswith('gatemill.toml:2: providers.vllm.native.1: expected "chat", ')
    assert error.endswith(', found "chatt" (did you mean "chat"?)')


WRONG_SHAPES = """\
providers = 3
limits = []
[models]
a = 1
b = { targets = 5, fallbacks = "c" }
c = { targets = [[1]], fallbacks = { d = 1 } }
"""


def test_wrong_shapes_do_not_hide_each_other(tmp_path: Path) -> None:
    assert refused(tmp_path, WRONG_SHAPES) == [
        "gatemill.toml:1: providers: expected a table, found 3",
        "gatemill.toml:2: limits: expected a table, found a list",
        "gatemill.toml:4: models.a: expected a table, found 1",
        'gatemill.toml:5: models.b.fallbacks: expected a list, found "c"',
        "gatemill.toml:5: models.b.targets: expected a list, found 5",
        "gatemill.toml:6: models.c.fallbacks: expected a list, found a table",
        "gatemill.toml:6: models.c.targets.0: expected a table, found a list",
    ]


def test_a_provider_has_one_key_or_several(tmp_path: Path) -> None:
    text = '[providers.vllm]\napi_key = "a"\napi_keys = ["b"]\n'
    assert refused(tmp_path, text) == [
        (
            "gatemill.toml:3: providers.vllm.api_keys: has api_key beside it: keep one of them;"
            " api_keys takes one, too"
        )
    ]
    assert loaded(tmp_path, '[providers.vllm]\napi_keys = ["a", "b"]\n')


def test_a_provider_that_is_no_table_hides_nothing(tmp_path: Path) -> None:
    assert refused(tmp_path, "[providers]\nvllm = 1\nx = { kind = 1 }\n") == [
        "gatemill.toml:2: providers.vllm: expected a table, found 1",
        "gatemill.toml:3: providers.x.kind: expected a text in quotes, found 1",
    ]


def test_an_alert_is_signed(tmp_path: Path) -> None:
    text = '[alerts]\nwebhook = "https://h/alerts"\n'
    assert refused(tmp_path, text) == [
        'gatemill.toml:2: alerts.webhook: needs a secret to be signed with; add secret = "whsec_" and base64'
    ]
    assert loaded(tmp_path, f'{text}secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"\n')


def test_a_pattern_has_no_budget_of_its_own(tmp_path):
    text = (
        '[models."gpt-*"]\ntargets = ["echo/*"]\nlimits.budgets.day.usd = 5\n'
        "limits.requests_per_minute = 5\n"
    )
    [error] = refused(tmp_path, text)
    assert "a pattern has no budget of its own" in error
