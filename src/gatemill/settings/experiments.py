"""Options of experiments. Rule: values only."""

from __future__ import annotations

from gatemill.settings.section import Section


class Experiments(Section):
    """Options of experiments."""
