"""What looks like a secret, or is one, is in no line."""

from __future__ import annotations

import msgspec
import pytest

from gatemill.observe.redaction import HIDDEN, Redaction


@pytest.mark.parametrize(
    "secret",
    [
        "gm-abcdefghij-0123456789abcdefghijABCDEFGHIJ0123456789abc",
        "sk-proj-0123456789abcdef",
        "sk_live_0123456789abcdef",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "AKIAIOSFODNN7EXAMPLE",
        "AIzaSyA0123456789-0123456789_012345678",
        "ghp_0123456789abcdef0123456789abcdef0123",
    ],
)
@pytest.mark.parametrize("line", ['{{"error":"key {} is wrong"}}', "Bearer {}", "?api_key={}&a=b"])
def test_what_looks_like_a_key_is_hidden(secret, line):
    shown = Redaction()(line.format(secret))
    assert secret not in shown
    assert shown == line.format(HIDDEN)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("postgres://ada:pa55@db/x", "postgres://[secret]@db/x"),
        ("redis://:pa55@db", "redis://[secret]@db"),
        ("http://db:5432/x", "http://db:5432/x"),
        ("Authorization: Bearer whatever-it-is", "Authorization: Bearer [secret]"),
    ],
)
def test_passwords_of_urls_and_bearers_are_hidden(line, shown):
    assert Redaction()(line) == shown


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"request","request_id":"req_1a1fc2352f5b0c6e8d9a4700001a","model":"gpt-4o"}',
        '{"job":"job_1a1fd6a3c2600000114fd48419e4911f4464e","target":"up/sk-model"}',
        "task-manager of gm-mill says 12:30 at http://127.0.0.1:8700",
    ],
)
def test_ordinary_lines_stay_as_they_are(line):
    assert Redaction()(line) == line


def test_a_value_that_was_named_is_hidden_whatever_it_looks_like():
    hide = Redaction()
    hide.add(["correct horse", "correct horse battery", "short"])
    assert hide("correct horse battery, correct horse, short") == f"{HIDDEN}, {HIDDEN}, short"
    hide.add(["another one"])
    assert hide("another one of correct horse") == f"{HIDDEN} of {HIDDEN}"


def test_a_value_is_hidden_in_a_json_line_too():
    hide = Redaction()
    hide.add(['pass"wörd\\1'])
    line = msgspec.json.encode({"error": 'login with pass"wörd\\1 failed'}).decode()
    assert hide(line) == f'{{"error":"login with {HIDDEN} failed"}}'
