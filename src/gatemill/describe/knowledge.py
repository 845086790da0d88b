"""What the document says of knowledge. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.describe import rag, stores

if TYPE_CHECKING:
    from gatemill.describe.control import Control

ROUTES: dict[str, Control] = {**stores.ROUTES, **rag.ROUTES}
