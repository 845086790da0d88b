"""Gatemill: one OpenAI-compatible door to every model.

Rule: importing this loads nothing; what it names is loaded when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatemill.core.version import VERSION

if TYPE_CHECKING:
    from gatemill.core import errors
    from gatemill.library import Answer, ConfigErrors, Inside
    from gatemill.library import open_house as open

__all__ = ["Answer", "ConfigErrors", "Inside", "__version__", "errors", "open"]

__version__ = VERSION

_ROOMS = {
    "Answer": "gatemill.library",
    "ConfigErrors": "gatemill.library",
    "Inside": "gatemill.library",
    "open": "gatemill.library",
}
_NAMES = {"open": "open_house"}  # where the room calls it otherwise


if not TYPE_CHECKING:  # type checkers know the names above, and that there are no others

    def __getattr__(name: str) -> Any:
        if name == "errors":
            return import_module("gatemill.core.errors")
        room = _ROOMS.get(name)
        if room is None:
            raise AttributeError(f"module 'gatemill' has no attribute {name!r}", name=name)
        return getattr(import_module(room), _NAMES.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
