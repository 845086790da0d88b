"""The schemas of all formats, by name. Rule: one module is one format; names are unique."""

from gatemill.edge.describe.schemas import (
    admin,
    chat,
    configuration,
    experiments,
    features,
    files,
    jobs,
    knowledge,
    messages,
    ours,
    predictions,
    recordings,
    registry,
    responses,
    serving,
    usage,
    webhooks,
)
from gatemill.edge.describe.words import Json

__all__ = ["SCHEMAS"]

SCHEMAS: dict[str, Json] = {
    **chat.SCHEMAS,
    **responses.SCHEMAS,
    **messages.SCHEMAS,
    **ours.SCHEMAS,
    **predictions.SCHEMAS,
    **configuration.SCHEMAS,
    **admin.SCHEMAS,
    **usage.SCHEMAS,
    **jobs.SCHEMAS,
    **files.SCHEMAS,
    **webhooks.SCHEMAS,
    **serving.SCHEMAS,
    **registry.SCHEMAS,
    **experiments.SCHEMAS,
    **features.SCHEMAS,
    **recordings.SCHEMAS,
    **knowledge.SCHEMAS,
}
