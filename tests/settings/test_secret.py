from __future__ import annotations

import pytest

from gatemill.settings import Secret, masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("short", "…"), ("12345678901", "…"), ("sk-0123456789abcd", "…abcd")],
)
def test_a_secret_shows_four_characters_when_it_has_many_more(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert str(Secret(text)) == shown
    assert text in {"", Secret(text).get_secret_value()}
