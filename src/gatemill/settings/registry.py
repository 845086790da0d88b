"""Options of registry. Rule: values only."""

from __future__ import annotations

from gatemill.settings.section import Section


class Registry(Section):
    """Options of registry."""
