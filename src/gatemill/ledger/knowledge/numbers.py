"""Vectors as the database keeps them. Rule: little-endian 32-bit floats of length 1."""

from __future__ import annotations

import math
import sys
from array import array
from typing import TYPE_CHECKING

from gatemill.core.errors import UpstreamBadReply

if TYPE_CHECKING:
    from collections.abc import Sequence


def packed(vector: Sequence[float]) -> bytes:
    """The vector, of length 1; zeros stay zeros, and are near to nothing. Raises UpstreamBadReply."""
    length = math.sqrt(math.fsum(value * value for value in vector))
    if not vector or not math.isfinite(length):
        raise UpstreamBadReply("The embedding model gave a vector that is empty, or not finite.")
    numbers = array("f", [value / (length or 1.0) for value in vector])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
