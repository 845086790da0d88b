"""What a key may do, and what somebody who has less may not give it."""

from __future__ import annotations

import pytest

from gatemill.core import scopes
from gatemill.core.call import Key
from gatemill.core.errors import InvalidValue, PermissionDenied
from gatemill.ledger import audit, keys, queries
from gatemill.ledger.keys import Scope
from keys_play import NOW_S, PEPPER, identify, make


def maker(**more):
    return Key("maker", "maker", **{"scopes": scopes.ALL, "admin": True, **more})


def test_a_key_without_a_word_about_scopes_has_the_default(database):
    assert make(database).key.scopes == scopes.DEFAULT


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ((), ()),
        (("usage", "jobs", "usage"), ("jobs", "usage")),
        (("admin:read",), ("admin:read",)),
        (("admin",), scopes.ALL),
    ],
)
def test_scopes_are_kept_in_their_order_and_admin_is_all(database, said, kept):
    made = make(database, scopes=said)
    assert made.key.scopes == kept
    assert made.key.admin == ("admin" in said)
    assert identify(database, made.secret).scopes == kept


def test_a_key_made_before_there_were_scopes_can_do_what_it_could(database):
    made = make(database)
    database.run(queries.Query("old", "UPDATE keys SET scopes = ''"))
    found = identify(database, made.secret)
    assert found.scopes == scopes.DEFAULT
    assert not found.may("features")


def test_an_unknown_scope_is_refused_by_name(database):
    with pytest.raises(InvalidValue, match="`scopes`: root is not known"):
        make(database, scopes=("inference", "root"))


def test_a_scope_can_be_taken_and_never_comes_back(database):
    made = make(database, scopes=("inference", "jobs"))
    kept = keys.update(database, made.key.id, {"scopes": ("jobs",)}, NOW_S)
    assert kept.scopes == identify(database, made.secret).scopes == ("jobs",)
    for more in (("inference", "jobs"), ("admin",), ("jobs", "admin:read")):
        with pytest.raises(InvalidValue, match="never gets more"):
            keys.update(database, made.key.id, {"scopes": more}, NOW_S, maker())
    assert identify(database, made.secret).scopes == ("jobs",)
    entry = audit.listed(database, 1, None)[0]
    assert entry.detail == {"scopes": [["inference", "jobs"], ["jobs"]]}


def test_an_admin_key_is_not_made_smaller(database):
    with pytest.raises(InvalidValue, match="one of the two"):
        make(database, admin=True, scopes=("usage",))
    made = make(database, admin=True)
    with pytest.raises(InvalidValue, match="has all of them"):
        keys.update(database, made.key.id, {"scopes": ("usage",)}, NOW_S)
    assert keys.update(database, made.key.id, {"scopes": ("admin",)}, NOW_S).scopes == scopes.ALL


@pytest.mark.parametrize(
    ("held", "asked", "param"),
    [
        ({"scopes": ("inference",), "admin": False}, {"scopes": ("jobs",)}, "scopes"),
        ({"scopes": ("admin:read",), "admin": False}, {"admin": True}, "scopes"),
        ({"models": ("gpt-*",)}, {"models": ("*",)}, "models"),
        ({"models": ("gpt-*",)}, {"models": ("gpt-4o", "claude-3")}, "models"),
        ({"models": ("gpt-[4]",)}, {"models": ("gpt-4",)}, "models"),
        ({"models": ("gpt-?",)}, {"models": ("gpt-4",)}, "models"),
        ({"expires_s": NOW_S + 10}, {}, "expires_at"),
        ({"expires_s": NOW_S + 10}, {"expires_s": NOW_S + 11}, "expires_at"),
    ],
)
def test_nobody_gives_what_they_do_not_have(database, held, asked, param):
    with pytest.raises(PermissionDenied) as refused:
        keys.create(database, PEPPER, Scope("new", **asked), NOW_S, maker(**held))
    assert refused.value.param == param
    assert keys.listed(database, 10) == []


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ({}, {"admin": True, "models": ("*",)}),
        ({"models": ("gpt-*", "x")}, {"models": ("gpt-4*", "gpt-*", "x")}),
        ({"expires_s": NOW_S + 10}, {"expires_s": NOW_S + 10}),
        ({"scopes": ("inference",), "admin": False}, {"scopes": ("inference",)}),
    ],
)
def test_what_somebody_has_they_can_give(database, held, asked):
    made = keys.create(database, PEPPER, Scope("new", **asked), NOW_S, maker(**held))
    assert identify(database, made.secret).name == "new"
    assert audit.listed(database, 1, None)[0].actor == "maker"


def test_a_key_that_is_more_than_ours_cannot_be_replaced_or_widened_by_us(database):
    wide = make(database, admin=True).key.id
    small = maker(models=("gpt-*",))
    with pytest.raises(PermissionDenied):
        keys.rotate(database, PEPPER, wide, 0, NOW_S, small)
    narrow = make(database, models=("gpt-4o",)).key.id
    with pytest.raises(PermissionDenied):
        keys.update(database, narrow, {"models": ("*",)}, NOW_S, small)
    assert keys.update(database, narrow, {"models": ("gpt-4*",)}, NOW_S, small).models == (
        "gpt-4*",
    )
    # What it has already is not given by us.
    assert keys.update(database, wide, {"name": "other"}, NOW_S, small).name == "other"
