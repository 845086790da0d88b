"""Webhooks: endpoints, secrets, deliveries."""

from __future__ import annotations

from gatemill.core.job import STATES
from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import (
    Json,
    array,
    flag,
    number,
    obj,
    or_null,
    ref,
    string,
    whole,
    word,
)
from gatemill.wire.webhook import PATTERNS

_UNIX = "in seconds of Unix time"
_TIME = or_null(number(f"When, {_UNIX}; null when it has not happened.", least=0))
_URL = string("A public URL, https or http.")
_EVENTS = array(
    "What it is told of; `job.*` means all of jobs, `*` means everything.",
    {"type": "string", "enum": [*PATTERNS]},
    least=1,
    most=len(PATTERNS),
)
_ABOUT = {**string("For people."), "maxLength": 200}
_SECRET = string("What signs: `whsec_` and base64.")
_STATUS = or_null(whole("What the server answered; null when it did not.", least=100))
_MS = whole("Milliseconds that it took.", least=0)
_OVERLAP_S = number("Seconds for which both sign; a day by default.", least=0, most=604_800)
_ERROR = or_null(string("Why it was not taken."))


def _closed(schema: Json) -> Json:
    return {**schema, "additionalProperties": False}


SCHEMAS: dict[str, Json] = {
    "WebhookNew": _closed(
        obj("An endpoint to make.", {"url": _URL}, {"events": _EVENTS, "description": _ABOUT})
    ),
    "WebhookChange": _closed(
        obj(
            "What to change; what is left out stays.",
            {},
            {
                "url": _URL,
                "events": _EVENTS,
                "description": _ABOUT,
                "enabled": flag("Whether it is told."),
            },
        )
    ),
    "WebhookUrl": _closed(obj("A URL to test.", {"url": _URL})),
    "WebhookRotation": _closed(obj("How to replace a secret.", {}, {"overlap_s": _OVERLAP_S})),
    "WebhookSecretRotation": _closed(
        obj("How to replace the default secret.", {}, {"overlap_s": _OVERLAP_S})
    ),
    "Webhook": obj(
        "An endpoint.",
        {
            "object": word("Kind of this object.", "webhook"),
            "id": string("Its id."),
            "url": _URL,
            "description": _ABOUT,
            "events": _EVENTS,
            "enabled": flag("Whether it is told."),
            "disabled_at": _TIME,
            "disabled_reason": or_null(string("Why it is told no more.")),
            "given_up": whole("Deliveries in a row that were given up.", least=0),
            "older_secret_until": _TIME,
            "created_at": number(f"When, {_UNIX}.", least=0),
        },
        {"secret": string("What signs; only in the answer that makes it.")},
    ),
    "NewWebhook": {
        "description": "An endpoint, with its secret.",
        "allOf": [ref("Webhook"), {"type": "object", "required": ["secret"]}],
    },
    "WebhookList": listing("Endpoints.", "Webhook"),
    "DeletedWebhook": obj(
        "It is gone.",
        {
            "object": word("What it was.", "webhook"),
            "id": string("Its id."),
            "deleted": flag("Always true."),
        },
    ),
    "WebhookTest": obj(
        "What became of a test.",
        {
            "object": word("Kind of this object.", "webhook.test"),
            "id": string("Its `webhook-id`."),
            "delivered": flag("The server took it."),
            "status": _STATUS,
            "took_ms": _MS,
            "error": _ERROR,
        },
    ),
    "WebhookSecret": obj(
        "The default secret.",
        {
            "object": word("Kind of this object.", "webhook.secret"),
            "secret": _SECRET,
            "older_until": _TIME,
        },
    ),
    "Delivery": obj(
        "Something that is sent to a server of yours.",
        {
            "object": word("Kind of this object.", "webhook.delivery"),
            "id": string("Its `webhook-id`, the same with each try."),
            "event": string("Type of the event, such as `job.succeeded`."),
            "subject": string("The job, response or batch."),
            "webhook_id": or_null(string("The endpoint; null for a `callback_url`.")),
            "url": or_null(string("The `callback_url`; null for an endpoint.")),
            "state": word("How far it is.", *STATES),
            "created_at": number(f"When, {_UNIX}.", least=0),
            "next_try_at": _TIME,
            "delivered_at": _TIME,
            "attempt": whole("Tries so far.", least=0),
            "attempts_max": whole("After so many it is given up.", least=1),
            "status": _STATUS,
            "error": or_null(ref("JobProblem", "Why the last try failed.")),
        },
        {
            "tries": array(
                "Each try, where one delivery is shown.",
                obj(
                    "One try.",
                    {
                        "at": number(f"When, {_UNIX}.", least=0),
                        "status": _STATUS,
                        "took_ms": _MS,
                        "error": _ERROR,
                    },
                ),
            )
        },
    ),
    "DeliveryList": listing("Deliveries.", "Delivery"),
}
