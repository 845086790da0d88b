"""Schemas of deleting."""

from __future__ import annotations

from gatemill.describe.words import Json, flag, mapping, obj, or_null, string, word

SCHEMAS: dict[str, Json] = {
    "PurgeWhose": obj(
        "Whose data is to go: exactly one of the first three.",
        {},
        {
            "key_id": or_null(string("Of this key, by its id.")),
            "user_id": or_null(string("Of this user and the keys that the user holds.")),
            "before": or_null(
                string(
                    "From before this moment, of everybody: `30d` (so long ago), `2026-11-01`,"
                    " `2026-11-01T12:00:00Z` or seconds of Unix time."
                )
            ),
            "dry_run": flag("Only say what would be deleted."),
        },
    ),
    "Purge": obj(
        "What was deleted, or would be.",
        {
            "object": word("Kind of this object.", "purge"),
            "dry_run": flag("Nothing was deleted."),
            "done": flag("Nothing is left to be deleted; else ask again."),
            "rows": mapping("Rows by table, those of this request."),
            "left": mapping("What has not ended and stays, by table."),
            "overwritten": flag(
                "The bytes are gone from the files of the database, too; on Postgres the server"
                " sees to that."
            ),
        },
    ),
}
