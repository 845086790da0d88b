"""Options of work that outlives a request: jobs, batches, files, webhooks. Rule: values only."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gatemill.settings.secret import Secret
from gatemill.settings.section import Count, Seconds, Section

_RESERVED = ("high", "default", "low")


def _queue(value: str) -> str:
    if value in _RESERVED:
        raise ValueError(f'"{value}" is a priority; a queue needs another name')
    return value


QueueName = Annotated[str, AfterValidator(_queue), Field(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]


class Queue(Section):
    """What one queue may do, over all workers together."""

    slots: Count | None = Field(
        None, description="Most jobs of it at once in one worker; by default all of `jobs.slots`."
    )
    running_max: Count | None = Field(
        None, description="Most jobs of it at once, over all workers."
    )
    starts_per_minute: Count | None = Field(
        None, description="Most starts in a minute, over all workers."
    )
    running_max_per_owner: Count | None = Field(
        None, description="Most jobs at once of one team, user or key."
    )


class Schedule(Section):
    """A job that is submitted again and again."""

    cron: str = Field(description="Five fields: minute, hour, day of month, month, day of week.")
    timezone: str = Field("UTC", description="IANA name of the time zone that `cron` means.")
    kind: str = Field(description="Kind of the job.")
    key: str = Field(description="Id of the key on whose account it runs.")
    args: dict[str, Any] = Field({}, description="Its arguments.")
    priority: Literal["high", "default", "low"] = Field("default", description="Its priority.")


class Jobs(Section):
    """Work that outlives a request."""

    embedded: bool = Field(default=True, description="Whether `gatemill serve` runs jobs itself.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Port on 127.0.0.1 at which `gatemill worker` answers `/metrics`; none by default.",
    )
    slots: Count = Field(400, le=10_000, description="Most jobs at once in one worker.")
    queues: dict[QueueName, Queue] = Field({}, description="Limits by queue.")
    kinds: tuple[str, ...] = Field(
        (),
        description="Modules with job kinds of one's own, such as `mycompany.jobs.invoice`, or `.py` files.",
    )
    dispatch: Literal["sql", "celery", "rabbitmq", "redis"] = Field(
        "sql", description="How workers hear of a job; the ledger alone decides what becomes of it."
    )
    broker: Secret | None = Field(
        None,
        description="URL of the broker, `amqp://…` or `redis://…`; needed unless dispatch is `sql`.",
    )
    attempts_max: Count = Field(4, le=100, description="Attempts before a job is a dead letter.")
    backoff_s: Seconds = Field(1.0, description="Pause before the second attempt; it doubles.")
    backoff_max_s: Seconds = Field(600.0, description="Longest pause between two attempts.")
    timeout_s: Seconds = Field(
        600.0, description="Time for one attempt, unless its kind says more."
    )
    keep_days: Count = Field(7, description="Days that ended jobs and their results are kept.")
    args_bytes: Count = Field(4_194_304, description="Largest arguments of one job.")
    result_bytes: Count = Field(16_777_216, description="Largest result of one job.")
    waiting_max: Count = Field(
        1_000_000, description="Most jobs that have not ended; more are answered 503."
    )
    waiting_max_per_owner: Count = Field(
        100_000, description="Most jobs of one team, user or key that have not ended."
    )
    lease_s: Annotated[float, Field(ge=2, le=600)] = Field(
        30.0, description="Silence after which a worker is taken for dead."
    )
    beat_s: Annotated[float, Field(ge=0.2, le=60)] = Field(
        5.0, description="Pause between two signs of life of a worker; well below `lease_s`."
    )
    poll_s: Annotated[float, Field(ge=0.01, le=60)] = Field(
        0.5, description="Longest time until a worker looks for jobs that nobody told it of."
    )
    schedules: dict[str, Schedule] = Field({}, description="Jobs submitted by the clock, by name.")


class Batches(Section):
    """OpenAI batches."""

    lines_max: Count = Field(50_000, description="Most lines of one batch.")
    part_lines: Count = Field(500, le=10_000, description="Lines that one worker takes at a time.")
    concurrency: Count = Field(16, le=1000, description="Lines of one part that run at once.")


class Files(Section):
    """Files that callers upload, and those that batches make."""

    bytes_max: Count = Field(209_715_200, description="Largest file.")
    bytes_max_per_owner: Count = Field(
        10_737_418_240, description="Bytes of all files of one team, user or key."
    )
    keep_days: Count = Field(30, description="Days that a file is kept when nobody says otherwise.")


class Webhooks(Section):
    """Notifications to callers' servers."""

    private_addresses: tuple[str, ...] = Field(
        (),
        description="Networks such as `10.1.0.0/16` that callback URLs may lead to, although they are not public.",
    )
    timeout_s: Seconds = Field(15.0, description="Time for one try.")
    tries_per_host: Count = Field(4, description="Tries at once to one host, in one worker.")
    endpoints_max: Count = Field(100, description="Endpoints of one team, user or key.")
    disable_after: Count = Field(
        20, description="Notifications in a row given up before an endpoint is disabled."
    )
