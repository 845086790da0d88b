"""What the document says of deleting. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.describe.control import Control

ROUTES = {
    "data_purge": Control(
        "Purge data",
        "Deletes all that is kept of a key, of a user, or from before a moment: one of the three. What"
        " was paid stays, without the user's name. Works for some seconds; ask again until `done`.",
        "Data",
        "Purge",
        "PurgeWhose",
        "POST",
        errors=(400, 404, 413),
    ),
}
