"""What a reload says that it changes, and what it leaves for a restart."""

from __future__ import annotations

import pytest

from gatemill.settings.difference import NEEDS_RESTART, compared, difference, shown
from gatemill.settings.model import Settings
from settings_files import loaded

UP = '[providers.up]\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\n'


def _of(folder, text):
    return loaded(folder, text, server__discover=False).settings


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("", "", ()),
        (
            '[models.fast]\ntargets = ["echo/x"]',
            '[models.fast]\ntargets = ["up/y"]',
            ('models.fast.targets[0]: "echo/x" -> "up/y"',),
        ),
        (
            '[models.fast]\ntargets = ["echo/x"]',
            '[models.fast]\ntargets = ["echo/x", "up/y"]\nstrategy = "order"',
            ('+ models.fast.targets[1]: "up/y"', 'models.fast.strategy: "weight" -> "order"'),
        ),
        (
            '[models.fast]\ntargets = ["echo/x"]',
            '[models.fast]\ntargets = [{provider = "echo", model = "x", weight = 3}]',
            ("models.fast.targets[0].weight: 1 -> 3",),
        ),
        (
            "",
            '[models."gpt-4.1"]\ntargets = ["up/y"]\nfallbacks = ["b"]\n[models.b]\ntargets = ["up/b"]',
            (
                '+ models."gpt-4.1".targets[0]: "up/y"',
                '+ models."gpt-4.1".fallbacks: ["b"]',
                '+ models.b.targets[0]: "up/b"',
            ),
        ),
        ('[models.a]\ntargets = ["up/y"]', "", ('- models.a.targets[0]: "up/y"',)),
        (
            "[limits]\nbody_bytes = 10",
            '[limits]\nbody_bytes = 20\n[server]\nallowed_hosts = ["a"]',
            ('server.allowed_hosts: [] -> ["a"]', "limits.body_bytes: 10 -> 20"),
        ),
        (
            "[prices.x]\ninput = 0.1\noutput = 1",
            "[prices.x]\ninput = 0.2\noutput = 1\ncache_read = 0.05",
            ('prices.x.input: "0.1" -> "0.2"', '+ prices.x.cache_read: "0.05"'),
        ),
        (
            "[limits.default.budgets.day]\nusd = 5",
            "[limits.default.budgets.month]\nusd = 9\nhard = false",
            (
                '- limits.default.budgets.day.usd: "5"',
                '+ limits.default.budgets.month.usd: "9"',
                "+ limits.default.budgets.month.hard: false",
            ),
        ),
    ],
)
def test_each_difference_is_one_line(tmp_path, old, new, lines):
    assert difference(_of(tmp_path, UP + old), _of(tmp_path, UP + new)) == lines


def test_secrets_are_shown_by_their_last_characters_only(tmp_path):
    old = (
        UP + 'api_key = "sk-000000000000abcd"\n[providers.up.headers]\nx-a = "tok-000000000000wxyz"'
    )
    new = (
        UP
        + 'api_keys = ["sk-111111111111efgh"]\nproxy = "http://me:hush@proxy:1"\n'
        + '[providers.up.headers]\nx-a = "tok-111111111111wxyz"'
    )
    lines = difference(_of(tmp_path, old), _of(tmp_path, new))
    assert lines == (
        '- providers.up.api_key: "…abcd"',
        'providers.up.headers.x-a: "…wxyz" -> "…wxyz"',
        '+ providers.up.api_keys[0]: "…efgh"',
        '+ providers.up.proxy: "http://…@proxy:1"',
    )


def test_an_added_table_of_defaults_is_named(tmp_path):
    assert difference(_of(tmp_path, ""), _of(tmp_path, "[providers.anthropic]")) == (
        '+ providers.anthropic.kind: "anthropic"',
        '+ providers.anthropic.base_url: "https://api.anthropic.com"',
    )


@pytest.mark.parametrize(
    "option",
    [f"{section}.{name}" for section, names in NEEDS_RESTART.items() for name in names],
)
def test_what_needs_a_restart_exists_and_stays_as_it_was(tmp_path, option):
    section, name = option.split(".")
    values = {bool: "true", int: "7", str: '"info"'}
    special = {
        "port": "7",
        "database": '"sqlite:///x.db"',
        "counters": '"redis://h:1/0"',
        "cache": '"redis://h:1/0"',
        "when_away": '"share"',
        "log": '"json"',
        "log_level": '"debug"',
        "openapi": "false",
        "dev_key": "false",
        "workers": "1",
        "admin_port": "8701",
        "embedded": "false",
        "kinds": '["a.b"]',
        "dispatch": '"redis"',
        "broker": '"redis://h:1/0"',
        "lease_s": "9.0",
        "beat_s": "2.0",
        "metrics_port": "8702",
        "log_levels": '{ jobs = "debug" }',
        "endpoint": '"http://127.0.0.1:4318"',
        "headers": '{ x-token = "secret-of-the-collector" }',
        "sample_share": "0.5",
        "trust_incoming": "true",
        "genai_semconv": '"1.41"',
        "timeout_s": "3.0",
        "flush_timeout_s": "3.0",
    }
    old = Settings()
    text = special.get(name) or values[type(getattr(getattr(old, section), name))]
    new = _of(tmp_path, f"[{section}]\n{name} = {text}\n[limits]\nbody_bytes = 9")
    result = compared(old, new)
    assert getattr(getattr(result.settings, section), name) == getattr(getattr(old, section), name)
    assert "limits.body_bytes: 33554432 -> 9" in result.changes
    if name != "workers":
        # The second where there was none; the third for one entry of a table.
        said = (f"{option}: ", f"+ {option}: ", f"+ {option}.")
        assert [line for line in result.needs_restart if line.startswith(said)]
    assert not [line for line in result.changes if line.startswith(f"{option}: ")]


def test_values_are_shown_without_passwords():
    assert shown(("redis://u:hush@h:1/0", None, 1.5, True)) == ["redis://…@h:1/0", None, 1.5, True]
    said = "postgresql:///db?host=/run&password=hush&sslpassword=hush&user=u"
    assert shown(said) == "postgresql:///db?host=/run&password=…&sslpassword=…&user=u"


def test_a_token_alone_before_a_host_of_the_web_is_not_shown():
    assert shown("https://a-token@host/v1") == "https://…@host/v1"
    assert shown("http://a-token@host") == "http://…@host"
    for plain in ("https://host/@me", "postgresql://ada@db/x", "https://host/v1"):
        assert shown(plain) == plain
