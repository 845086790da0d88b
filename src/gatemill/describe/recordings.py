"""What the document says of recordings. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.describe.control import Control, path_parameter, query
from gatemill.describe.words import string, whole, word

_TAG = "Recordings"
_ONE = path_parameter(
    "request_id", "From the header x-request-id.", "req_1a1fc2352f5b0c6e8d9a4700001a"
)
_MOMENT = "`7d` (so long ago), `2026-11-01`, `2026-11-01T12:00:00Z` or seconds of Unix time"
_FILTERS = (
    query("key", string("Only of this key, by its id.")),
    query("model", string("Only of this model, as callers name it.")),
    query("operation", string("Only of this format, such as `chat`.")),
    query("ended", word("Only those that ended so.", "ok", "error")),
    query("since", string(f"Nothing before {_MOMENT}.")),
    query("until", string("Nothing after, written the same way.")),
)

ROUTES = {
    "recordings": Control(
        "List recordings",
        "The newest first, without their bodies. Nothing is recorded unless `recordings.share` says so.",
        _TAG,
        "RecordingList",
        asked=(
            *_FILTERS,
            query("limit", whole("Most entries; 100 by default.", least=1, most=1_000)),
            query("after", string("The request id of the last entry that you have.")),
        ),
        errors=(400, 403),
    ),
    "recording": Control(
        "Show a recording",
        "What was asked and what was answered, as it was.",
        _TAG,
        "WholeRecording",
        of=_ONE,
        errors=(403,),
    ),
    "recordings_delete": Control(
        "Delete recordings",
        "All that pass the filters, of which there must be one, or `all=true`.",
        _TAG,
        "DeletedRecordings",
        method="DELETE",
        asked=(*_FILTERS, query("all", word("Really all.", "true", "false"))),
        errors=(400, 403),
    ),
    "recording_delete": Control(
        "Delete a recording",
        "It is gone for good.",
        _TAG,
        "DeletedRecordings",
        method="DELETE",
        of=_ONE,
        errors=(403,),
    ),
}
