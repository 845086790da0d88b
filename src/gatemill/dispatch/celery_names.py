"""What the two ends of Celery agree on: task, queues, options. Rule: no I/O, no house.

Celery carries ids and nothing else. Attempts, delays, deadlines, results and their expiry are the
ledger's, so Celery's own are off.
"""

from __future__ import annotations

import ssl
from typing import Any

from gatemill.core.errors import StartRefused
from gatemill.core.job import LOW, PRIORITIES

try:
    from celery import Celery
    from kombu.entity import Exchange, Queue
    from kombu.exceptions import KombuError
except ImportError as error:  # the extra is not installed
    raise StartRefused('Celery needs two packages: pip install "gatemill[celery]".') from error

AWAY = (KombuError, OSError)  # the broker is away, or hangs up
TASK = "gatemill.run_job"
ONE_QUEUE = "jobs"  # in RabbitMQ
CONNECT_S = 5.0
SOCKET_S = 10.0  # of silence, after which Redis is away
HELD_MS = 7 * 24 * 3600 * 1000  # that a running job's message may stay unacknowledged in RabbitMQ


def configure(app: Celery, url: str, slots: int) -> None:
    """The app speaks to this broker. A worker holds no more messages than it has slots.

    So whatever waits, waits in the broker, in its order, and is there for any worker.
    """
    is_redis = _is_redis(url)
    app.conf.update(
        broker_url=url,
        broker_transport="gatemill.dispatch.celery_redis:Transport" if is_redis else None,
        broker_use_ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED} if url.startswith("rediss") else None,
        broker_transport_options=_redis_options() if is_redis else {"confirm_publish": True},
        broker_connection_timeout=CONNECT_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever
        task_queues=_redis_queues() if is_redis else [_rabbit_queue()],
        task_default_queue="default" if is_redis else ONE_QUEUE,
        task_create_missing_queues=False,
        task_acks_late=True,
        task_ignore_result=True,
        task_publish_retry=False,
        task_serializer="json",
        accept_content=["json"],
        worker_concurrency=slots,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )


def client(url: str) -> Celery:
    """An app that only sends, once; it does not become the current one."""
    app = Celery("gatemill", set_as_current=False)
    configure(app, url, 1)
    options = {**app.conf.broker_transport_options, "max_retries": 0}
    app.conf.broker_transport_options = options
    return app


def way(url: str, priority: int) -> dict[str, Any]:
    """How a message of this priority is sent, as options of `send_task`."""
    if _is_redis(url):
        return {"queue": PRIORITIES[priority]}
    return {"queue": ONE_QUEUE, "priority": LOW - priority}


def _is_redis(url: str) -> bool:
    return url.startswith(("redis://", "rediss://"))


def _redis_options() -> dict[str, Any]:
    return {
        "queue_order_strategy": "priority",  # strictly in the order of task_queues
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": SOCKET_S,
    }


def _redis_queues() -> list[Queue]:
    return [Queue(name, Exchange(name), routing_key=name) for name in PRIORITIES]


def _rabbit_queue() -> Queue:
    # RabbitMQ knows no order between queues, and one within a queue.
    arguments = {"x-max-priority": LOW, "x-consumer-timeout": HELD_MS}
    return Queue(ONE_QUEUE, Exchange(ONE_QUEUE), routing_key=ONE_QUEUE, queue_arguments=arguments)


def message_id(job_id: str, number: str) -> str:
    """The id of one of a job's messages. No two are alike, or Celery takes them for one."""
    return f"{job_id}:{number}"


def job_of(message: str) -> str:
    """The job that a message, or a caller who knows only jobs, means."""
    return message.partition(":")[0]
