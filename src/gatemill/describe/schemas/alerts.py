"""What the route of alerts answers."""

from __future__ import annotations

from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import Json, number, obj, or_null, string, word
from gatemill.policy.incidents import CRITICAL, RULES, WARNING

_UNIX = "in seconds of Unix time"

SCHEMAS: dict[str, Json] = {
    "Alert": obj(
        "Something that is or was wrong. Several processes see the same one.",
        {
            "object": word("Kind of this object.", "alert"),
            "id": string("Its id; the ids of its messages begin with it."),
            "name": word("Its rule.", *RULES),
            "subject": string("The target, model or queue that it is about; may be empty."),
            "state": word("Whether it goes on.", "open", "closed"),
            "severity": word("How bad it is.", WARNING, CRITICAL),
            "value": number("What was seen last while it was wrong."),
            "threshold": number("From where on it is wrong."),
            "since": number(f"When it began, as far as anybody looked, {_UNIX}."),
            "opened_at": number(f"When it was noted, {_UNIX}."),
            "seen_at": number(f"When it was seen last, {_UNIX}."),
            "closed_at": or_null(number(f"When it was over, {_UNIX}.")),
            "summary": string("What it means."),
            "remedy": string("What to do."),
            "runbook": string("The page about it, from the root of the repository."),
        },
    ),
    "AlertList": listing("Incidents, the newest first.", "Alert"),
}
