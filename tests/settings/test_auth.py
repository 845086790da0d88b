"""Under which URL browsers come, and who may."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gatemill.settings.auth import Auth, Oidc

ISSUER = {"issuer": "https://login.example.com", "client_id": "gatemill"}


def test_a_public_url_is_scheme_and_host():
    assert Auth(public_url="https://gate.example.com/").public_url == "https://gate.example.com"
    with pytest.raises(ValidationError, match="scheme and host"):
        Auth(public_url="https://gate.example.com/sub")


def test_an_identity_provider_needs_a_way_back():
    with pytest.raises(ValidationError, match=r"set auth\.public_url"):
        Auth(oidc=Oidc(**ISSUER))


@pytest.mark.parametrize("said", ["ada", "*", "group:", "@example.com", "ada@", ""])
def test_who_is_nobody_is_refused_with_examples(said):
    with pytest.raises(ValidationError, match="group:platform"):
        Oidc(**ISSUER, admins=(said,))
