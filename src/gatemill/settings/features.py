"""Options of features. Rule: values only."""

from __future__ import annotations

from gatemill.settings.section import Section


class Features(Section):
    """Options of features."""
