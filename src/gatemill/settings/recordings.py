"""Options of recordings. Rule: values only."""

from __future__ import annotations

from gatemill.settings.section import Section


class Recordings(Section):
    """Options of recordings."""
