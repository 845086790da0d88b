"""Routes of knowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.edge.knowledge import (
    documents,
    file_batches,
    rag,
    search,
    store_files,
    stores,
)

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    for room in (stores, store_files, file_batches, documents, search, rag):
        room.add(app, shown)
