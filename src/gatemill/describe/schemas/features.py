"""Schemas of features."""

from __future__ import annotations

from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import (
    Json,
    array,
    asked,
    either,
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
from gatemill.features.words import FEATURES_MAX, KEY_CHARS_MAX, ROWS_MAX, SOURCES, TYPES

_WHEN = whole("When, in seconds of Unix time.", least=0)
_AT = number("When, in seconds of Unix time.", least=0)
_NAME = {
    **string("A small letter, then small letters, digits and `_`; 63 at most."),
    "pattern": "^[a-z][a-z0-9_]{0,62}$",
}
_ENTITY = {**_NAME, "description": "What it is known of, such as `user`. Written like a name."}
_VALUE = {
    "description": "A text, a number, true or false, or null for unknown.",
    "type": ["string", "number", "boolean", "null"],
}
_MOMENT = either(
    "Seconds of Unix time, or `2026-11-01T12:00:00Z`, or `7d` for so long ago.",
    [{"type": "number", "minimum": 0}, {"type": "string"}],
)
_TTL_S = number("Seconds after its event at which a value is too old.", least=0)
_REF = string("What Feast calls it, such as `user_stats:tier`; only where it is the source.")
_STATUSES = ("PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE")


def _closed(schema: Json) -> Json:
    return {**schema, "additionalProperties": False}


_FEATURE_NEW = _closed(
    obj(
        "A feature.",
        {"name": _NAME, "type": word("What its values are.", *TYPES)},
        {
            "default": _VALUE,
            "ttl_s": or_null({**_TTL_S, "exclusiveMinimum": 0}),
            "ref": or_null(_REF),
        },
    )
)
_FEATURE = obj(
    "A feature.",
    {
        "name": _NAME,
        "type": word("What its values are.", *TYPES),
        "default": _VALUE,
        "ttl_s": or_null(_TTL_S),
    },
    {"ref": _REF},
)

SCHEMAS: dict[str, Json] = {
    "FeatureSetNew": _closed(
        obj(
            "A feature set.",
            {
                "entity": _ENTITY,
                "features": array("What is known of it.", _FEATURE_NEW, least=1, most=FEATURES_MAX),
            },
            {
                "trusted": flag("Callers may not say other values; false by default."),
                "source": word("Where the values come from; `local` by default.", *SOURCES),
                "join_key": or_null(
                    string(
                        "What Feast calls the entity's key; by default like the entity.", least=1
                    )
                ),
            },
        )
    ),
    "FeatureSet": obj(
        "A feature set.",
        {
            "object": word("Kind of this object.", "feature_set"),
            "name": string("Its name."),
            "entity": _ENTITY,
            "features": array("What is known of it.", _FEATURE),
            "trusted": flag("Callers may not say other values."),
            "source": word("Where the values come from.", *SOURCES),
            "join_key": or_null(string("What Feast calls the entity's key.")),
            "created_at": _WHEN,
            "updated_at": _WHEN,
        },
    ),
    "FeatureSetList": listing("Feature sets.", "FeatureSet"),
    "DeletedFeatureSet": obj(
        "It is gone.",
        {
            "object": word("What it was.", "feature_set"),
            "name": string("Its name."),
            "deleted": flag("Always true."),
        },
    ),
    "FeaturesWrite": _closed(
        obj(
            "Values to write.",
            {
                "entity": _ENTITY,
                "rows": array(
                    "One for each entity and event.",
                    _closed(
                        asked(
                            "What is known of one entity.",
                            {
                                "key": {
                                    **string("Which one.", least=1),
                                    "maxLength": KEY_CHARS_MAX,
                                },
                                "values": mapping("Values by the feature's name.", _VALUE),
                            },
                            {"event_ts": {**_MOMENT, "description": "Since when; now by default."}},
                        )
                    ),
                    least=1,
                    most=ROWS_MAX,
                ),
            },
        )
    ),
    "FeaturesWritten": obj(
        "They are kept.",
        {
            "object": word("Kind of this object.", "features.written"),
            "written": whole("Values.", least=0),
        },
    ),
    "FeaturesRead": _closed(
        asked(
            "What to read.",
            {
                "entities": mapping(
                    'Keys by the kind of entity, such as `{"user": ["u1"]}`; at most 8 kinds.',
                    {"type": "array", "items": {"type": "string"}},
                )
            },
            {
                "features": array(
                    "Only these, such as `user.tier`; all by default.",
                    {"type": "string"},
                    least=1,
                    most=FEATURES_MAX,
                ),
                "as_of": {**_MOMENT, "description": "The moment whose values are wanted."},
                "known_by": {
                    **_MOMENT,
                    "description": "Only what was written by then: what a model could have known.",
                },
            },
        )
    ),
    "FeaturesFound": obj(
        "What is known.",
        {
            "object": word("Kind of this object.", "features.read"),
            "rows": array("One for each key, in the order of the question.", ref("FeatureRow")),
        },
    ),
    "FeatureRow": obj(
        "What is known of one entity.",
        {
            "entity": _ENTITY,
            "key": string("Which one."),
            "values": mapping("By the feature, such as `user.tier`.", _VALUE),
            "statuses": mapping("Why a value is what it is.", word("A word.", *_STATUSES)),
            "event_ts": mapping("Since when, in seconds of Unix time.", or_null(_AT)),
        },
    ),
    "FeaturesLog": listing("What requests were given.", "FeaturesGiven"),
    "FeaturesGiven": obj(
        "What one request was given.",
        {
            "object": word("Kind of this object.", "features.given"),
            "request_id": string("The request, as in the header x-request-id."),
            "at": _AT,
            "key_id": string("The key that asked."),
            "operation": string("What was asked."),
            "model": string("The model that was asked for."),
            "sets": array("Sets that were looked at.", {"type": "string"}),
            "entities": mapping("What it was about.", {"type": "string"}),
            "values": mapping("By the feature, such as `user.tier`.", _VALUE),
        },
    ),
}
