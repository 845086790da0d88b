"""What is measured of jobs. Rule: each measure checks that all that it counted really happened."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from bench import jobs_load, process
from bench.failures import BenchStopped
from bench.jobs_load import request
from bench.jobs_stage import NAME, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from bench.jobs_load import Load, Place
    from bench.jobs_stage import Live, Stage

Figures = dict[str, float]
CALLERS = 64
LIST_JOBS = 100
WARM_S = 0.5
SLOT_S = 0.5  # of the low jobs that a high one finds before it
CHATS_PER_S = 100.0
_LIMIT_S = 150.0
_MARK = "gatemill-bench"


class Sizes(msgspec.Struct, frozen=True):
    """How much of each."""

    singles: int = 3_000
    lists: int = 150
    waiting: int = 300
    lines: int = 10_000
    behind: int = 10_000
    highs: int = 12
    chat_s: float = 6.0


QUICK = Sizes(singles=500, lists=20, lines=5_000, behind=2_000, highs=5, chat_s=1.0)


async def accept(stage: Stage, sizes: Sizes) -> Figures:
    """Jobs accepted per second, one or many in a request; nobody runs them meanwhile."""
    with serving(stage, embedded=False) as live:
        place = live.place
        one = request(place, "POST", "/v1/jobs", _job(0.0))
        many = request(place, "POST", "/v1/jobs", _jobs(LIST_JOBS, 0.0))
        warm = await jobs_load.at_full_speed(place, [one] * 200, CALLERS, 202)
        singles = await jobs_load.at_full_speed(place, [one] * sizes.singles, CALLERS, 202)
        lists = await jobs_load.at_full_speed(place, [many] * sizes.lists, 8, 202)
        _check("jobs refused", warm.failed + singles.failed + lists.failed, 0)
        queue = await _queue(place)
        _check("jobs kept", queue["queued"], 200 + sizes.singles + LIST_JOBS * sizes.lists)
    return {
        "accept_single_per_s": sizes.singles / singles.seconds,
        "accept_single_p99_ms": _percentile_ms(singles, 0.99),
        "accept_list_per_s": LIST_JOBS * sizes.lists / lists.seconds,
    }


async def wait(stage: Stage, sizes: Sizes) -> Figures:
    """300 jobs of five seconds in one process: until all have ended, and its memory."""
    with serving(stage) as live:
        body = _jobs(LIST_JOBS, 5.0)
        started_s = time.perf_counter()
        lists = [request(live.place, "POST", "/v1/jobs", body)] * (sizes.waiting // LIST_JOBS)
        sent = await jobs_load.at_full_speed(live.place, lists, len(lists), 202)
        _check("jobs refused", sent.failed, 0)
        rss_bytes = 0

        async def ended() -> bool:
            nonlocal rss_bytes
            rss_bytes = max(rss_bytes, process.memory(live.pid).rss_bytes)
            queue = await _queue(live.place)
            return bool(queue["queued"] + queue["running"] == 0)

        await _until(ended, 0.1)
        seconds = time.perf_counter() - started_s
        path = f"/v1/jobs?kind={NAME}&state=succeeded&limit=500"
        _check("jobs done", len((await _asked(live.place, path))["data"]), sizes.waiting)
    return {"wait_300_s": seconds, "wait_300_mb": rss_bytes / 1e6}


async def batch(stage: Stage, sizes: Sizes) -> Figures:
    """An OpenAI batch of echo calls; then chats with and without such a batch beside them."""
    with serving(stage) as live:
        file_id = await _uploaded(live.place, sizes.lines)
        alone = await _chats(live, sizes, "alone")
        started_s = time.perf_counter()
        batch_id = await _begun(live.place, file_id)
        await _until(lambda: _completed(live.place, batch_id), 0.1)
        seconds = time.perf_counter() - started_s
        counts = (await _asked(live.place, f"/v1/batches/{batch_id}"))["request_counts"]
        _check("lines answered", counts["completed"], sizes.lines)
        count = 2 + math.ceil(3 * (sizes.chat_s + WARM_S) / seconds)  # they last longer
        beside = await _beside(live, [file_id] * count, sizes)
    return {
        "batch_s": seconds,
        **alone,
        **beside,
    }


async def _beside(live: Live, files: Sequence[str], sizes: Sizes) -> Figures:
    """Chats while batches of these files run, which last longer than they do."""
    ids = [await _begun(live.place, file_id) for file_id in files]

    async def done() -> int:
        return sum([await _done(live.place, f"/v1/batches/{each}") for each in ids])

    async def begun() -> bool:
        states = [(await _asked(live.place, f"/v1/batches/{each}"))["status"] for each in ids]
        return "validating" not in states and await done() > 0

    await _until(begun, 0.02)
    before = await done()
    started_s = time.perf_counter()
    chats = await _chats(live, sizes, "beside")
    seconds = time.perf_counter() - started_s
    after = await done()
    _check("the batches lasted", after < len(ids) * sizes.lines, expected=True)
    return {**chats, "batch_beside_per_s": (after - before) / seconds}


async def high(stage: Stage, sizes: Sizes) -> Figures:
    """How long a high job waits behind many low ones, all slots being taken."""
    with serving(stage, "[jobs.queues.bench]\nslots = 20\n") as live:
        place = live.place
        low = request(place, "POST", "/v1/jobs", _jobs(LIST_JOBS, SLOT_S, "low"))
        lists = [low] * (sizes.behind // LIST_JOBS)
        _check("refused", (await jobs_load.at_full_speed(place, lists, 8, 202)).failed, 0)
        delays_s = []
        for number in range(sizes.highs):
            await asyncio.sleep(0.2 + 0.1 * (number % 5))  # at another point of the slots each time
            said = await jobs_load.ask(place, request(place, "POST", "/v1/jobs", _job(0.0, "high")))
            delays_s.append(await _delay_s(place, msgspec.json.decode(said.body)["id"]))
        behind = (await _queue(place))["waiting"]["low"]["jobs"]
        _check("enough low jobs are left", behind > 0, expected=True)
    ascending = sorted(delays_s)
    return {
        "high_p50_ms": ascending[len(ascending) // 2] * 1000,
        "high_max_ms": ascending[-1] * 1000,
    }


MEASURES: dict[str, Callable[[Stage, Sizes], Awaitable[Figures]]] = {
    "accept": accept,
    "wait": wait,
    "batch": batch,
    "high": high,
}


# --- Requests -------------------------------------------------------------------------------------


def _job(seconds: float, priority: str = "default") -> bytes:
    return msgspec.json.encode({"kind": NAME, "args": {"seconds": seconds}, "priority": priority})


def _jobs(count: int, seconds: float, priority: str = "default") -> bytes:
    return b'{"jobs":[%b]}' % b",".join([_job(seconds, priority)] * count)


async def _asked(place: Place, path: str) -> dict[str, Any]:
    answer = await jobs_load.ask(place, request(place, "GET", path))
    _check(f"{path}: {answer.body[:300]!r}", answer.status, 200)
    found: dict[str, Any] = msgspec.json.decode(answer.body)
    return found


async def _queue(place: Place) -> dict[str, Any]:
    (found,) = [
        each for each in (await _asked(place, "/v1/queues"))["data"] if each["name"] == "bench"
    ]
    return dict(found)


async def _delay_s(place: Place, job_id: str) -> float:
    found: dict[str, Any] = {}

    async def started() -> bool:
        nonlocal found
        found = await _asked(place, f"/v1/jobs/{job_id}")
        return found["started_at"] is not None

    await _until(started, 0.02)
    return float(found["started_at"] - found["created_at"])


async def _uploaded(place: Place, lines: int) -> str:
    form = "\r\n".join(
        (
            f"--{_MARK}\r\ncontent-disposition: form-data; name=purpose\r\n\r\nbatch",
            f"--{_MARK}\r\ncontent-disposition: form-data; name=file; filename=b.jsonl\r\n",
            "\n".join(_lines(lines)),
            f"--{_MARK}--\r\n",
        )
    )
    kind = f"multipart/form-data; boundary={_MARK}"
    answer = await jobs_load.ask(place, request(place, "POST", "/v1/files", form.encode(), kind))
    _check(f"upload: {answer.body[:300]!r}", answer.status, 200)
    return str(msgspec.json.decode(answer.body)["id"])


def _lines(count: int) -> Iterator[str]:
    for number in range(count):
        body = {"model": "echo", "messages": [{"role": "user", "content": f"line {number}"}]}
        line = {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions"}
        yield msgspec.json.encode({**line, "body": body}).decode()


async def _begun(place: Place, file_id: str) -> str:
    asks = {
        "input_file_id": file_id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    answer = await jobs_load.ask(
        place, request(place, "POST", "/v1/batches", msgspec.json.encode(asks))
    )
    _check(f"batch: {answer.body[:300]!r}", answer.status, 200)
    return str(msgspec.json.decode(answer.body)["id"])


async def _completed(place: Place, batch_id: str) -> bool:
    status = (await _asked(place, f"/v1/batches/{batch_id}"))["status"]
    _check("the batch", status in {"failed", "expired", "cancelled"}, expected=False)
    return bool(status == "completed")


async def _done(place: Place, path: str) -> int:
    return int((await _asked(place, path))["request_counts"]["completed"])


async def _chats(live: Live, sizes: Sizes, when: str) -> Figures:
    """Times of chats with the built-in model, and with one whose provider takes 100 ms."""
    figures: Figures = {}
    for model in ("echo", "typical"):
        body = {"model": model, "messages": [{"role": "user", "content": "hello big world"}]}
        data = request(live.place, "POST", "/v1/chat/completions", msgspec.json.encode(body))
        await jobs_load.at_rate(live.place, data, CHATS_PER_S, WARM_S)
        load = await jobs_load.at_rate(live.place, data, CHATS_PER_S, sizes.chat_s)
        _check("chats refused", load.failed, 0)
        figures[f"{model}_{when}_p50_ms"] = _percentile_ms(load, 0.5)
        figures[f"{model}_{when}_p99_ms"] = _percentile_ms(load, 0.99)
    return figures


# --- Checks -----------------------------------------------------------------------------------------


async def _until(ready: Callable[[], Awaitable[bool]], pause_s: float) -> None:
    until_s = time.monotonic() + _LIMIT_S
    while not await ready():
        if time.monotonic() > until_s:
            raise BenchStopped(f"not ready after {_LIMIT_S:.0f} s")
        await asyncio.sleep(pause_s)


def _check(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise BenchStopped(f"{what}: {found}, not {expected}")


def _percentile_ms(load: Load, share: float) -> float:
    ascending = load.latencies_s
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] * 1000
