"""Options of models that we run ourselves. Rule: values only."""

from __future__ import annotations

from gatemill.settings.section import Section


class LocalModel(Section):
    """One model, reached as `local/NAME` and, where [models] has no such name, as NAME."""


class Serving(Section):
    """What all local models share."""
