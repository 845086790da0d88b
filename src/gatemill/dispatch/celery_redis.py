"""Redis as Celery's transport, but for one thing: what is no message does not end the worker.

kombu 5.7 lets the error of a list entry that it cannot read go up to the worker, which then stops
(2026-11-21). Rule: nothing else is changed.
"""

from __future__ import annotations

import logging
from queue import Empty
from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """Lets pass what cannot be read."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (ValueError, KeyError, TypeError) as error:
            logging.getLogger(__name__).warning("what came is no message", exc_info=error)
            raise Empty from error


class Transport(redis.Transport):
    """What `broker_transport` names."""

    Channel = Channel
