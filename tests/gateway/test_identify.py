"""Who calls: every state that a key can be in."""

from __future__ import annotations

import pytest

from gatemill.core.call import Key
from gatemill.core.errors import InvalidApiKey
from gatemill.gateway.identify import identify
from gateway_parts import KEY, SECRET, KeyTable

NOW_S = 1_000.0


def refusal(secret: bytes | None, **fields: float) -> str:
    with pytest.raises(InvalidApiKey) as caught:
        identify(KeyTable(other=Key(id="k2", name="other", **fields)), secret, NOW_S)
    assert caught.value.status == 401
    return caught.value.message


def test_a_good_key_is_found_by_its_secret():
    assert identify(KeyTable(), SECRET, NOW_S) is KEY


@pytest.mark.parametrize("secret", [None, b""])
def test_without_a_key_the_refusal_says_how_to_send_one(secret):
    message = refusal(secret)
    assert "Authorization: Bearer" in message
    assert "x-api-key" in message


def test_an_unknown_key_is_refused_and_not_repeated():
    message = refusal(b"gm-k1-secre")
    assert "not known" in message
    assert "secre" not in message


@pytest.mark.parametrize("expires_s", [NOW_S, NOW_S - 1, 0.0])
def test_a_key_is_refused_from_the_moment_it_expires(expires_s):
    assert "expired" in refusal(b"other", expires_s=expires_s)


@pytest.mark.parametrize("revoked_s", [NOW_S, NOW_S - 1, 0.0])
def test_a_key_is_refused_from_the_moment_it_is_revoked(revoked_s):
    assert "revoked" in refusal(b"other", revoked_s=revoked_s)


@pytest.mark.parametrize("fields", [{"expires_s": NOW_S + 1}, {"revoked_s": NOW_S + 1}])
def test_a_key_works_until_its_last_moment(fields):
    key = Key(id="k2", name="other", **fields)
    assert identify(KeyTable(other=key), b"other", NOW_S) is key
