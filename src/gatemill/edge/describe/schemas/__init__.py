"""The schemas of all formats, by name. Rule: one module is one format; names are unique."""

from gatemill.edge.describe.schemas import (
    admin,
    chat,
    configuration,
    files,
    jobs,
    messages,
    ours,
    responses,
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
    **configuration.SCHEMAS,
    **admin.SCHEMAS,
    **usage.SCHEMAS,
    **jobs.SCHEMAS,
    **files.SCHEMAS,
    **webhooks.SCHEMAS,
}
