"""Keys, teams, users, and their limits."""

from __future__ import annotations

from gatemill.core import scopes
from gatemill.core.guard import MODES
from gatemill.describe.words import (
    Json,
    array,
    flag,
    mapping,
    number,
    obj,
    or_null,
    ref,
    string,
    whole,
    word,
)

_UNIX = "in seconds of Unix time"
_SCOPE = word("A scope.", *scopes.ALL)
_SCOPES = array("What the key may do, beside which models; `admin` is all.", _SCOPE)
_SCOPES_KEPT = array("Those that it keeps; a key never gets more than it has.", _SCOPE)
_MODELS = array("Names, or patterns with `*`.", {"type": "string"}, least=1, most=200)
_NAME = {**string("For people.", least=1), "maxLength": 200}
_ID = {
    **string("Your own: 1 to 63 of a-z, 0-9, `.`, `_` and `-`."),
    "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$",
}
_CREATED = whole(f"When, {_UNIX}.", least=0)
_COUNTS: dict[str, Json] = {
    "requests_per_minute": whole("Most requests in any 60 seconds.", least=1),
    "requests_per_day": whole("Most requests in a day, UTC.", least=1),
    "tokens_per_minute": whole("Most tokens in any 60 seconds, prompt and answer.", least=1),
    "concurrency": whole("Most requests under way.", least=1),
}
_USD: Json = {
    "description": "Dollars with at most six decimals, as text or number.",
    "anyOf": [
        {"type": "string", "pattern": r"^\d{1,10}(\.\d{1,6})?$"},
        {"type": "number", "minimum": 0},
    ],
}
_SIDES = ("input", "output")
_GUARDS = ("size", "pii", "secrets", "injection", "moderation", "http", "presidio")
_PERIODS = ("day", "week", "month", "total")


def _closed(schema: Json) -> Json:
    return {**schema, "additionalProperties": False}


def _nullable(fields: dict[str, Json]) -> dict[str, Json]:
    return {name: or_null(schema) for name, schema in fields.items()}


def listing(about: str, name: str) -> Json:
    """A list of the schema `name`."""
    return obj(
        about,
        {
            "object": word("Kind of this object.", "list"),
            "data": array("The entries.", ref(name)),
            "has_more": flag("There are more than `limit`."),
        },
    )


SCHEMAS: dict[str, Json] = {
    "Limits": _closed(
        obj(
            "What may be used; absent is unlimited. In a change, absent stays and null ends it.",
            {},
            {**_nullable(_COUNTS), "budgets": or_null(ref("BudgetLimits", "Money, by period."))},
        )
    ),
    "BudgetLimits": _closed(
        obj(
            "Money by calendar period, UTC; each is counted by itself.",
            {},
            {name: or_null(ref("BudgetLimit", "Money for it.")) for name in _PERIODS},
        )
    ),
    "BudgetLimit": _closed(
        obj(
            "Money for one period. In a change, what is absent stays; a new one needs `usd`.",
            {},
            {
                "usd": _USD,
                "hard": flag("Requests are refused beyond it; otherwise it only alerts."),
                "alert_at": array(
                    "Shares at which somebody is told; 0.8 and 1 by default.",
                    number("A share.", least=0, most=1),
                    most=4,
                ),
            },
        )
    ),
    "Guards": _closed(
        obj(
            "Guards on the way in and out. Each takes the place of that of a wider scope by its name.",
            {},
            {side: array(f"Guards of the {side}.", ref("Guard"), most=32) for side in _SIDES},
        )
    ),
    "Guard": _closed(
        obj(
            "One guard at work.",
            {"guard": word("Which one.", *_GUARDS)},
            {
                "mode": word("What happens to what it finds; `block` by default.", *MODES),
                "kinds": array("Kinds that it looks for; all by default.", {"type": "string"}),
                "threshold": or_null(number("Score from which it counts.", least=0, most=1)),
                "chars_max": or_null(whole("Of `size`: most characters.", least=1)),
                "hook": string("Of `http`: a name of [guards.hooks]."),
            },
        )
    ),
    "KeyNew": _closed(
        obj(
            "A key to make. Other fields are refused.",
            {"name": _NAME},
            {
                "models": _MODELS,
                "scopes": _SCOPES,
                "admin": flag("Has all scopes."),
                "expires_at": or_null(number(f"When it ends, {_UNIX}.")),
                "user_id": or_null(string("Whose it is.")),
                "team_id": or_null(string("Whose limits it shares; by default its user's team.")),
                "limits": or_null(ref("Limits", "What may be used; null is unlimited.")),
                "guards": or_null(ref("Guards", "Guards of its own; null is none.")),
            },
        )
    ),
    "KeyChange": _closed(
        obj(
            "What to change; what is left out stays.",
            {},
            {
                "name": _NAME,
                "models": _MODELS,
                "scopes": _SCOPES_KEPT,
                "user_id": or_null(string("Whose it is; null is nobody's.")),
                "team_id": or_null(string("Whose limits it shares; null is its user's team.")),
                "limits": or_null(ref("Limits", "What may be used; null is unlimited.")),
                "guards": or_null(ref("Guards", "Guards of its own; null is none.")),
            },
        )
    ),
    "KeyRotation": _closed(
        obj(
            "How to replace a key.",
            {},
            {"grace_s": number("Seconds that the old one still works; 3600 by default.", least=0)},
        )
    ),
    "Key": obj(
        "A key, without its secret.",
        {
            "object": word("Kind of this object.", "key"),
            "id": string("The middle part of the key."),
            "name": string("For people."),
            "state": word("Whether it works.", "live", "replaced", "expired", "revoked"),
            "models": _MODELS,
            "scopes": _SCOPES,
            "admin": flag("Has all scopes."),
            "user_id": string("Whose it is; may be empty."),
            "team_id": string("Whose limits it shares; may be empty."),
            "limits": ref("Limits"),
            "guards": ref("Guards"),
            "created_at": _CREATED,
            "expires_at": or_null(whole(f"When it ends, {_UNIX}.")),
            "revoked_at": or_null(whole(f"When it ended or will, {_UNIX}.")),
            "last_used_at": or_null(whole(f"When its last request came, {_UNIX}.")),
        },
        {"secret": string("What to send as the key; only in the answer that makes it.")},
    ),
    "NewKey": {
        "description": "A key, with its secret.",
        "allOf": [ref("Key"), {"type": "object", "required": ["secret"]}],
    },
    "KeyList": listing("Keys.", "Key"),
    "TeamNew": _closed(
        obj(
            "A team to make.",
            {"id": _ID},
            {
                "name": string("For people; the id by default."),
                "limits": or_null(ref("Limits", "What may be used; null is unlimited.")),
                "guards": or_null(ref("Guards", "Guards of its own; null is none.")),
            },
        )
    ),
    "TeamChange": _closed(
        obj(
            "What to change; what is left out stays.",
            {},
            {
                "name": _NAME,
                "limits": or_null(ref("Limits", "What may be used; null is unlimited.")),
                "guards": or_null(ref("Guards", "Guards of its own; null is none.")),
            },
        )
    ),
    "Team": obj(
        "Users and keys with limits in common.",
        {
            "object": word("Kind of this object.", "team"),
            "id": _ID,
            "name": _NAME,
            "limits": ref("Limits"),
            "guards": ref("Guards"),
            "created_at": _CREATED,
        },
    ),
    "TeamList": listing("Teams.", "Team"),
    "UserNew": _closed(
        obj(
            "A user to make.",
            {"id": _ID},
            {
                "name": string("For people; the id by default."),
                "team_id": or_null(string("Their team.")),
                "limits": or_null(ref("Limits", "What may be used; null is unlimited.")),
            },
        )
    ),
    "UserChange": _closed(
        obj(
            "What to change; what is left out stays.",
            {},
            {
                "name": _NAME,
                "team_id": or_null(string("Their team; null is none.")),
                "limits": or_null(ref("Limits", "What may be used; null is unlimited.")),
            },
        )
    ),
    "User": obj(
        "A person or a program that holds keys.",
        {
            "object": word("Kind of this object.", "user"),
            "id": _ID,
            "name": _NAME,
            "team_id": string("Their team; may be empty."),
            "limits": ref("Limits"),
            "created_at": _CREATED,
        },
    ),
    "UserList": listing("Users.", "User"),
    "Deleted": obj(
        "It is gone.",
        {
            "object": word("What it was.", "team", "user"),
            "id": string("Its id."),
            "deleted": flag("Always true."),
        },
    ),
    "AuditLog": listing("Changes.", "AuditEntry"),
    "AuditEntry": obj(
        "A change, or somebody who signed in or could not.",
        {
            "id": whole("Rises by one with each change.", least=1),
            "at": number(f"When, {_UNIX}."),
            "actor": string(
                "The id of the admin's key, `oidc:` and a name, or `cli`; empty where nobody is known."
            ),
            "action": string(
                "`create`, `update`, `rotate`, `revoke`, `delete`, `sign_in`, `sign_out`,"
                " `sign_in_refused` ..."
            ),
            "kind": string("`key`, `team`, `user`, `session` ..."),
            "object_id": string("What was changed."),
            "detail": mapping("What it was made with, or each changed value as [old, new]."),
        },
    ),
}
