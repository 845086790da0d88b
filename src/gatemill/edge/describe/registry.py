"""What the document says of registry. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatemill.edge.describe.control import Control

ROUTES: dict[str, Control] = {}
