from decimal import Decimal

import pytest

from gatemill.core.errors import InvalidRequest
from gatemill.features import words
from gatemill.features.words import FeatureNew, ReadNew, RowNew, SetNew, WriteNew
from gatemill.ledger.features import Feature, Set, Written

NOW_S = 1_763_700_000.0
TIER = FeatureNew("tier", "string", "free", 60.0)
TYPES = {"tier": "string", "age": "number", "known": "boolean"}


def test_a_set_as_it_is_sent():
    said = SetNew("user", [TIER, FeatureNew("age", "number", Decimal("1.5"))], trusted=True)
    assert words.checked_set("users-2", said) == Set(
        "users-2",
        "user",
        (Feature("tier", "string", "free", 60.0), Feature("age", "number", 1.5)),
        trusted=True,
    )


def test_a_set_of_feast_says_what_feast_calls_its_features():
    tier = FeatureNew("tier", "string", ref="user_stats:tier")
    made = words.checked_set("users", SetNew("user", [tier], source="feast", join_key="user_id"))
    assert (made.join_key, made.features[0].ref) == ("user_id", "user_stats:tier")
    assert words.checked_set("users", SetNew("user", [tier], source="feast")).join_key == "user"


@pytest.mark.parametrize(
    ("name", "said", "param"),
    [
        ("Users", SetNew("user", [TIER]), "name"),
        ("u" * 64, SetNew("user", [TIER]), "name"),
        ("users", SetNew("a user", [TIER]), "entity"),
        ("users", SetNew("user", [FeatureNew("user.tier", "string")]), "features.0.name"),
        ("users", SetNew("user", [TIER, TIER]), "features.1.name"),
        ("users", SetNew("user", [FeatureNew("age", "number", "old")]), "features.0.default"),
        ("users", SetNew("user", [FeatureNew("t", "string", "x" * 5000)]), "features.0.default"),
        ("users", SetNew("user", [FeatureNew("t", "string", ref="a:b")]), "features.0.ref"),
        ("users", SetNew("user", [TIER], source="feast"), "features.0.ref"),
        ("users", SetNew("user", [TIER], join_key="user_id"), "join_key"),
        (
            "users",
            SetNew("user", [FeatureNew("t", "string", ref="a:b")], source="feast", join_key="a b"),
            "join_key",
        ),
    ],
)
def test_what_is_wrong_with_a_set_is_named(name, said, param):
    with pytest.raises(InvalidRequest) as error:
        words.checked_set(name, said)
    assert error.value.param == param


def test_values_as_they_are_sent():
    rows = [
        RowNew("u1", {"tier": "gold", "age": Decimal(2), "known": None}, NOW_S - 5),
        RowNew("u2", {"known": True}, "2025-11-21T04:00:00Z"),
        RowNew("u3", {"age": -1}),
    ]
    assert words.written(WriteNew("user", rows), TYPES, NOW_S) == [
        Written("user", "u1", "tier", NOW_S - 5, "gold"),
        Written("user", "u1", "age", NOW_S - 5, 2),
        Written("user", "u1", "known", NOW_S - 5, None),
        Written("user", "u2", "known", 1_763_697_600.0, True),
        Written("user", "u3", "age", NOW_S, -1),
    ]


@pytest.mark.parametrize(
    ("row", "param"),
    [
        (RowNew("", {}), "rows.0.key"),
        (RowNew("a\nb", {}), "rows.0.key"),
        (RowNew("k" * 201, {}), "rows.0.key"),
        (RowNew("u1", {}, NOW_S + 301), "rows.0.event_ts"),
        (RowNew("u1", {}, "yesterday"), "rows.0.event_ts"),
        (RowNew("u1", {"tire": "gold"}), "rows.0.values.tire"),
        (RowNew("u1", {"tier": 3}), "rows.0.values.tier"),
        (RowNew("u1", {"age": True}), "rows.0.values.age"),
        (RowNew("u1", {"age": float("inf")}), "rows.0.values.age"),
        (RowNew("u1", {"known": "yes"}), "rows.0.values.known"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(row, param):
    with pytest.raises(InvalidRequest) as error:
        words.written(WriteNew("user", [row]), TYPES, NOW_S)
    assert error.value.param == param


def test_a_write_and_a_read_are_bounded(monkeypatch):
    monkeypatch.setattr(words, "VALUES_MAX", 2)
    row = RowNew("u1", {"tier": "x", "age": 1, "known": True})
    with pytest.raises(InvalidRequest, match="3 values"):
        words.written(WriteNew("user", [row]), TYPES, NOW_S)
    words.check_read(ReadNew({"user": ["u1", "u2"]}), 1)
    with pytest.raises(InvalidRequest, match="2 values"):
        words.check_read(ReadNew({"user": ["u1", "u2"]}), 2)
    with pytest.raises(InvalidRequest, match="printable"):
        words.check_read(ReadNew({"user": [""]}), 1)


def test_moments():
    assert words.moment(None, NOW_S, "as_of") == NOW_S
    assert words.moment(12, NOW_S, "as_of") == 12.0
    assert words.moment("1h", NOW_S, "as_of") == NOW_S - 3600
    with pytest.raises(InvalidRequest):
        words.moment(-1.0, NOW_S, "as_of")
