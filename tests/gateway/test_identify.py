"""Who calls: every state that a key can be in."""

from __future__ import annotations

import pytest

from gatemill.core.call import Key
from gatemill.core.errors import InvalidApiKey, PermissionDenied
from gatemill.gateway.identify import identify, permit
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


def test_a_scope_that_is_asked_for_must_be_there():
    keys = KeyTable(narrow=Key(id="k3", name="narrow", scopes=("jobs",)))
    assert identify(keys, b"narrow", NOW_S, "jobs").id == "k3"
    with pytest.raises(PermissionDenied, match="scope inference"):
        identify(keys, b"narrow", NOW_S, "inference")


def test_an_admin_has_every_scope_whatever_is_written():
    keys = KeyTable(boss=Key(id="k4", name="boss", admin=True, scopes=()))
    assert identify(keys, b"boss", NOW_S, "inference").id == "k4"


def test_several_scopes_may_be_enough_and_the_refusal_names_them():
    permit(Key(id="k", name="k", scopes=("admin:read",)), "jobs", "admin:read")
    with pytest.raises(PermissionDenied, match="scope jobs or admin:read"):
        permit(Key(id="k", name="k", scopes=()), "jobs", "admin:read")
