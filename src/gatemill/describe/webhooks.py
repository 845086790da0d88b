"""What the document says of webhooks. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.core.job import STATES
from gatemill.describe.control import Control, path_parameter, query
from gatemill.describe.words import string, whole, word

_OWN = " Those of somebody else are not there; an admin key sees all."
_TAG = "Webhooks"
_BODY = (400, 408, 413, 415)
_ENDPOINT = path_parameter("webhook_id", "The endpoint's id.", "we_5f0c7d21a94be863")
_DELIVERY = path_parameter(
    "delivery_id", "The delivery's id.", "wh_1a1fd6a3c2600000114fd48419e4911f4464e"
)
_LIMIT = query("limit", whole("Most entries; 100 by default.", least=1, most=500))
_AFTER = query("after", string("The id of the last entry that you have."))

ROUTES = {
    "webhooks_secret": Control(
        "Show the default secret",
        "It signs what goes to the `callback_url` of single jobs.",
        _TAG,
        "WebhookSecret",
    ),
    "webhooks_secret_rotate": Control(
        "Replace the default secret",
        "For `overlap_s` seconds both secrets sign, so that receivers can change over.",
        _TAG,
        "WebhookSecret",
        "WebhookSecretRotation",
        "POST",
        errors=_BODY,
    ),
    "webhooks_deliveries": Control(
        "List deliveries",
        "What was sent to whom, and what became of it; the newest first." + _OWN,
        _TAG,
        "DeliveryList",
        asked=(
            query("state", word("Only this state.", *STATES)),
            query("job", string("Only about this job, response or batch.")),
            query("webhook", string("Only to this endpoint.")),
            _LIMIT,
            _AFTER,
        ),
        errors=(400,),
    ),
    "webhooks_delivery": Control(
        "Show a delivery",
        "With each try." + _OWN,
        _TAG,
        "Delivery",
        of=_DELIVERY,
    ),
    "webhooks_resend": Control(
        "Send a delivery again",
        "Under the same `webhook-id`, so that the receiver knows it. Refused while it has not ended."
        + _OWN,
        _TAG,
        "Delivery",
        method="POST",
        status=202,
        of=_DELIVERY,
        errors=(409,),
    ),
    "webhooks_create": Control(
        "Make an endpoint",
        "A public URL that is told when jobs end, signed as Standard Webhooks say. The answer holds the"
        " secret, which is shown this once.",
        _TAG,
        "NewWebhook",
        "WebhookNew",
        "POST",
        201,
        errors=(*_BODY, 409, 429),
    ),
    "webhooks": Control(
        "List endpoints",
        "The newest first." + _OWN,
        _TAG,
        "WebhookList",
        asked=(_LIMIT, _AFTER),
        errors=(400,),
    ),
    "webhook": Control(
        "Show an endpoint",
        "One endpoint." + _OWN,
        _TAG,
        "Webhook",
        of=_ENDPOINT,
    ),
    "webhooks_update": Control(
        "Change an endpoint",
        "What is left out stays; `enabled` brings one back that was disabled." + _OWN,
        _TAG,
        "Webhook",
        "WebhookChange",
        "PATCH",
        of=_ENDPOINT,
        errors=_BODY,
    ),
    "webhooks_delete": Control(
        "Delete an endpoint",
        "Nothing is sent to it any more." + _OWN,
        _TAG,
        "DeletedWebhook",
        method="DELETE",
        of=_ENDPOINT,
    ),
    "webhooks_rotate": Control(
        "Replace an endpoint's secret",
        "For `overlap_s` seconds both secrets sign. The answer holds the new one." + _OWN,
        _TAG,
        "NewWebhook",
        "WebhookRotation",
        "POST",
        of=_ENDPOINT,
        errors=_BODY,
    ),
    "webhooks_test_url": Control(
        "Test a URL",
        "Sends it an event of the type `webhook.test` now, signed with the default secret, and says what"
        " it answered.",
        _TAG,
        "WebhookTest",
        "WebhookUrl",
        "POST",
        errors=_BODY,
    ),
    "webhooks_test": Control(
        "Test an endpoint",
        "Sends it an event of the type `webhook.test` now, and says what it answered." + _OWN,
        _TAG,
        "WebhookTest",
        method="POST",
        of=_ENDPOINT,
    ),
}
