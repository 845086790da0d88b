"""Gatemill without a server: the same gateway, called from Python.

Rule: no second implementation; what a request meets here is what it meets behind HTTP.
"""

from gatemill.library.answer import Answer
from gatemill.library.inside import Inside, open_house
from gatemill.settings import ConfigErrors

__all__ = ["Answer", "ConfigErrors", "Inside", "open_house"]
