"""Options of the registry. Rule: values only."""

from __future__ import annotations

from pydantic import Field

from gatemill.settings.secret import Secret
from gatemill.settings.section import Seconds, Section, Url


class Registry(Section):
    """Models and prompts with versions and aliases."""

    mlflow_url: Url | None = Field(
        None,
        description="An MLflow server whose models can be versions here: `mlflow:NAME@ALIAS`.",
    )
    mlflow_token: Secret | None = Field(None, description="What is sent to it as a bearer token.")
    mlflow_poll_s: Seconds = Field(
        60.0, description="Seconds between two looks whether one of its aliases has moved."
    )
    mlflow_timeout_s: Seconds = Field(10.0, description="Seconds that one request to it may take.")
