from __future__ import annotations

import pytest

from gatemill.settings.schema import is_secret, keys_at, takes_fraction, takes_text, type_at


def test_paths_lead_to_types_and_nowhere_else() -> None:
    assert type_at(("server", "port")) is int
    assert type_at(("server", "port", "x")) is None
    assert type_at(("models", "any name", "targets", 7, "weight")) is int
    assert type_at(("models", "any name", "targets", "x")) is None
    assert type_at(("models", 3)) is None
    assert type_at(("nothing",)) is None
    assert "total_s" in keys_at(("providers", "x", "timeout"))
    assert keys_at(("providers",)) == ()


@pytest.mark.parametrize(
    ("path", "secret", "text", "fraction"),
    [
        (("providers", "x", "api_key"), True, True, False),
        (("providers", "x", "headers", "h"), True, True, False),
        (("registry", "mlflow_token"), True, True, False),
        (("providers", "x", "base_url"), False, True, False),
        (("providers", "x", "timeout"), False, False, True),
        (("server", "log"), False, True, False),
        (("limits", "body_idle_s"), False, False, True),
        (("prices", "x", "input"), False, False, False),
    ],
)
def test_a_path_says_what_may_stand_there(path, secret, text, fraction) -> None:
    assert is_secret(path) is secret
    assert takes_text(path) is text
    assert takes_fraction(path) is fraction
