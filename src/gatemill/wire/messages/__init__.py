"""Anthropic's Messages API as callers speak it; satisfies ports.Surface.

Rule: between equals the bytes pass; the way to and from the hub is in inward, outward and composer.
Source: the types of Anthropic's Python SDK 2.11 (2026-11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.wire.messages.composer import Composer
from gatemill.wire.messages.inward import to_chat
from gatemill.wire.messages.outward import from_chat
from gatemill.wire.messages.relay import Relay
from gatemill.wire.messages.shape import head, native
from gatemill.wire.messages.words import reply_usage as usage

if TYPE_CHECKING:
    from gatemill.core.call import Call, Head

__all__ = [
    "FAMILY",
    "NAME",
    "from_chat",
    "head",
    "native",
    "passage",
    "to_chat",
    "usage",
    "writer",
]

NAME = "messages"
FAMILY = "anthropic"


def passage(head: Head) -> Relay:
    """A pass-through for one native stream; usage is always part of it, so nothing is stripped."""
    return Relay()


def writer(call: Call) -> Composer:
    """A writer for one translated stream."""
    return Composer()
