"""What /openapi.json and /docs say.

Rule: the application says which routes exist, this package says everything about them. Nothing of it is in memory
before somebody asks for `document.py`.
"""

from __future__ import annotations

from typing import Any

SOCKET = "/v1/chat/stream"
INTRODUCTION = """\
One door to every model. It speaks OpenAI's and Anthropic's formats, whatever the provider behind a\
 model speaks.

Every route but the health ones needs a key: `Authorization: Bearer gm-...` or `x-api-key: gm-...`.\
 The first start on this machine writes one to `dev.key` in the data folder. The examples below read\
 two variables:

    export GATEMILL_URL=http://127.0.0.1:8700
    export GATEMILL_API_KEY="$(cat data/dev.key)"

The model `echo` is built in: it needs no provider and says back what it is told.
"""


def route(name: str) -> dict[str, Any]:
    """Arguments for the application's add_api_route; the document finds the route by this name."""
    return {"operation_id": name, "name": name}
