"""The schemas of all formats, by name. Rule: one module is one format; names are unique."""

from gatemill.describe.schemas import (
    admin,
    alerts,
    chat,
    configuration,
    data,
    experiments,
    features,
    files,
    jobs,
    knowledge,
    messages,
    moderations,
    ours,
    predictions,
    recordings,
    registry,
    responses,
    serving,
    usage,
    webhooks,
)
from gatemill.describe.words import Json

__all__ = ["SCHEMAS"]

SCHEMAS: dict[str, Json] = {
    **chat.SCHEMAS,
    **responses.SCHEMAS,
    **messages.SCHEMAS,
    **ours.SCHEMAS,
    **predictions.SCHEMAS,
    **moderations.SCHEMAS,
    **configuration.SCHEMAS,
    **admin.SCHEMAS,
    **alerts.SCHEMAS,
    **usage.SCHEMAS,
    **jobs.SCHEMAS,
    **files.SCHEMAS,
    **webhooks.SCHEMAS,
    **serving.SCHEMAS,
    **registry.SCHEMAS,
    **experiments.SCHEMAS,
    **features.SCHEMAS,
    **recordings.SCHEMAS,
    **data.SCHEMAS,
    **knowledge.SCHEMAS,
}
