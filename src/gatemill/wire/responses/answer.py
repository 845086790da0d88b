"""A complete chat completion as a response. Rule: the same items as the stream, by the same code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import fields
from gatemill.wire.responses.stream import ResponseWriter

if TYPE_CHECKING:
    from gatemill.core.call import Call, Usage
    from gatemill.core.ports import Json


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """The response object for a hub answer. Raises UpstreamBadReply."""
    if not completion.get("choices"):
        raise UpstreamBadReply("The provider's answer holds no choice.")
    writer = ResponseWriter(call)
    writer.write(completion)
    writer.finish(usage)
    return fields.encode(writer.response)
