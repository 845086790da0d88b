"""What the document says of incidents. Rule: a row for each route."""

from __future__ import annotations

from gatemill.describe.control import Control, query
from gatemill.describe.words import string, whole, word

ROUTES = {
    "alerts": Control(
        "List incidents",
        "What is wrong with this installation and what was, of all processes, the newest first.",
        "Usage",
        "AlertList",
        asked=(
            query("limit", whole("Most entries; 100 by default.", least=1, most=10_000)),
            query("state", word("Only these.", "open", "closed")),
            query("name", string("Only of this rule, such as `BreakerOpen`.")),
            query("before", string("Only older ones than the one with this id.")),
        ),
        errors=(400,),
    ),
}
