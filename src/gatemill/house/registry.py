"""Options of the registry -> the way to MLflow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatemill.registry.mlflow import Mlflow
    from gatemill.settings.model import Settings


def mlflow_of(settings: Settings) -> Mlflow | None:
    """The server of the configuration, if there is one."""
    said = settings.registry
    if said.mlflow_url is None:
        return None
    # Only who has one pays for what speaks HTTP to it.
    room: Any = import_module("gatemill.registry.mlflow")
    token = said.mlflow_token.get_secret_value() if said.mlflow_token else ""
    server = room.Server(
        url=said.mlflow_url,
        token=token,
        kept=settings.data_dir / "models" / "mlflow",
        timeout_s=said.mlflow_timeout_s,
        size_bytes=settings.serving.source_bytes,
        poll_s=said.mlflow_poll_s,
    )
    made: Mlflow = room.Mlflow(server)
    return made
