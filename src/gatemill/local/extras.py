"""Packages of an extra. Rule: imported when a model needs them, never before."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from gatemill.core.errors import ExtraNotInstalled


def needed(module: str, extra: str) -> Any:
    """The module. Raises ExtraNotInstalled with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ExtraNotInstalled(
            f"This needs the package {error.name or module}: pip install 'gatemill[{extra}]'"
        ) from error
