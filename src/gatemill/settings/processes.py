"""May several processes, or listeners, run like this? Rule: works on the raw tree and tolerates wrong types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatemill.settings.errors import Path
from gatemill.settings.layers import table
from gatemill.settings.server import PORT


def apart(tree: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """(path, message) when several processes would each count for themselves.

    Then every limit and budget would be as many times as large as it says.
    """
    workers = table(tree, "server").get("workers")
    counters = table(tree, "stores").get("counters", "memory")
    if isinstance(workers, int) and workers > 1 and counters == "memory":
        remedy = 'set stores.counters = "redis://host:6379/0", or workers = 1'
        yield ("server", "workers"), f"{workers} processes need shared counters: {remedy}"


def colliding(tree: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """(path, message) when both listeners want the same port."""
    server = table(tree, "server")
    port = server.get("admin_port")
    if port and port == server.get("port", PORT):
        yield ("server", "admin_port"), f"{port} is server.port, too: choose another one"
