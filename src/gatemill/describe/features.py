"""What the document says of features. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.describe.control import Control, path_parameter, query
from gatemill.describe.words import string, whole

_TAG = "Features"
_BODY = (400, 403, 408, 413, 415)
_SET = path_parameter("name", "The set's name.", "users")
_MOMENT = "`7d` (so long ago), `2026-11-01`, `2026-11-01T12:00:00Z` or seconds of Unix time"

ROUTES = {
    "feature_sets": Control(
        "List feature sets",
        "All of them, by name.",
        _TAG,
        "FeatureSetList",
        errors=(400, 403),
    ),
    "feature_set": Control(
        "Show a feature set", "One set.", _TAG, "FeatureSet", of=_SET, errors=(403,)
    ),
    "feature_sets_put": Control(
        "Declare a feature set",
        "Makes the set, or replaces it. Values of a feature that stays are kept. In effect within a"
        " second, everywhere.",
        _TAG,
        "FeatureSet",
        "FeatureSetNew",
        "PUT",
        of=_SET,
        errors=(*_BODY, 409),
    ),
    "feature_sets_delete": Control(
        "Delete a feature set",
        "Its values go with it; what requests were given stays in the log.",
        _TAG,
        "DeletedFeatureSet",
        method="DELETE",
        of=_SET,
        errors=(403,),
    ),
    "features_write": Control(
        "Write values",
        "All of them or none. The value with the latest `event_ts` is the present one, however late it"
        " is written; the others stay for reads of the past.",
        _TAG,
        "FeaturesWritten",
        "FeaturesWrite",
        "POST",
        errors=_BODY,
    ),
    "features_read": Control(
        "Read values",
        "The present ones, or those of a moment. What is not PRESENT is told as its default.",
        _TAG,
        "FeaturesFound",
        "FeaturesRead",
        "POST",
        errors=(*_BODY, 502, 504),
    ),
    "features_log": Control(
        "What requests were given",
        "The newest first: the values as each request got them, to learn from together with what came"
        " of it.",
        _TAG,
        "FeaturesLog",
        asked=(
            query("as_of", string(f"Nothing after {_MOMENT}; by default now.")),
            query("since", string("Nothing before, written the same way.")),
            query("set", string("Only requests that were given features of this set.")),
            query("limit", whole("Most entries; 100 by default.", least=1, most=1_000)),
            query("after", string("The request id of the last entry that you have.")),
        ),
        errors=(400, 403, 404),
    ),
}
