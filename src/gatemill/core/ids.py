"""Identifiers: sortable by time, unguessable across processes, cheap to make."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def sequence(prefix: str) -> Callable[[float], str]:
    """A maker of ids `<prefix><milliseconds><process random><counter>`, fixed-width hex.

    The maker takes Unix seconds. Ids of one process sort by the order in which they were made
    within a millisecond; 48 random bits keep processes apart.
    """
    process = secrets.token_hex(6)
    counter = itertools.count(1).__next__

    def make(now_s: float) -> str:
        return f"{prefix}{int(now_s * 1000):011x}{process}{counter() & 0xFFFFFF:06x}"

    return make


def unguessable(prefix: str) -> Callable[[float], str]:
    """A maker of ids `<prefix><milliseconds><counter><80 random bits>`, fixed-width hex.

    They sort as those of `sequence`; whoever knows one cannot tell another.
    """
    counter = itertools.count(1).__next__

    def make(now_s: float) -> str:
        random = secrets.token_hex(10)
        return f"{prefix}{int(now_s * 1000):011x}{counter() & 0xFFFFFF:06x}{random}"

    return make
