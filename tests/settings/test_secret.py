from __future__ import annotations

import pytest

from gatemill.settings import Secret, masked
from gatemill.settings.secret import secrets_in
from settings_files import loaded


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("short", "…"), ("12345678901", "…"), ("sk-0123456789abcd", "…abcd")],
)
def test_a_secret_shows_four_characters_when_it_has_many_more(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert str(Secret(text)) == shown
    assert text in {"", Secret(text).get_secret_value()}


def test_every_secret_of_a_configuration_is_found(tmp_path):
    text = """
[stores]
database = "postgresql://ada:pa%40ss@db/x?sslmode=require&password=in%20query"
counters = "redis://:first-pass@127.0.0.1:1/0"
[alerts]
webhook = "https://example.com/hook"
secret = "whsec_c2VjcmV0LXNlY3JldA=="
[providers.up]
kind = "openai"
base_url = "https://example.com/v1"
api_keys = ["sk-one-000000", "sk-two-000000"]
headers = { x-tenant = "tenant-secret" }
"""
    found = set(secrets_in(loaded(tmp_path, text).settings))
    assert found == {
        *("pa%40ss", "pa@ss", "first-pass", "whsec_c2VjcmV0LXNlY3JldA=="),
        *("in%20query", "in query"),
        *("sk-one-000000", "sk-two-000000", "tenant-secret"),
    }
