"""Options of knowledge. Rule: values only."""

from __future__ import annotations

from gatemill.settings.section import Section


class Knowledge(Section):
    """Options of knowledge."""
