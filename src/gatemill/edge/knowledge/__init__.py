"""Routes of knowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.edge.knowledge import rag, search

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gatemill.edge.shown import Shown


def add(app: FastAPI, shown: Shown) -> None:
    """The routes."""
    search.add(app, shown)
    rag.add(app, shown)
