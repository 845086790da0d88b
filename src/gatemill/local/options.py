"""Options of a model, as its runtime reads them. Rule: what is missing has a default; a wrong type is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import ModelLoadFailed

if TYPE_CHECKING:
    from gatemill.core.model import ModelSpec

LOG_BYTES = 4 << 20  # of a child's output on disk, in two files


class Options:
    """Reads `ModelSpec.options`; every method raises ModelLoadFailed for a value of another type."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self._spec.options.get(name, default)
        if not isinstance(value, str):
            raise self._odd(name, "a string")
        return value

    def whole(self, name: str, default: int) -> int:
        """A whole number, at least 0."""
        value = self._spec.options.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._odd(name, "a whole number, at least 0")
        return value

    def seconds(self, name: str, default: float) -> float:
        """Seconds, above 0."""
        value = self._spec.options.get(name, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
            raise self._odd(name, "a number above 0")
        return float(value)

    def truth(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self._spec.options.get(name, default)
        if not isinstance(value, bool):
            raise self._odd(name, "true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; empty when it is missing."""
        value = self._spec.options.get(name, ())
        if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
            raise self._odd(name, "a list of strings")
        return tuple(value)

    def _odd(self, name: str, wanted: str) -> ModelLoadFailed:
        return ModelLoadFailed(f"The option `{name}` of `{self._spec.name}` must be {wanted}.")
