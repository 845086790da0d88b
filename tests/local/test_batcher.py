"""Fakes of a computation that wait until the test lets them go on: no clock is read."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gatemill.core.errors import InternalError, Overloaded
from gatemill.local.batcher import Batcher, Batching
from gatemill.observe.metrics import Histogram


class Stage:
    """A batcher whose computation takes a turn for each batch."""

    def __init__(self, *, held: bool = True, **batching) -> None:
        self.batches: list[list[str]] = []
        self.turns = threading.Semaphore(0 if held else 10_000)
        self.error: Exception | None = None
        self.threads = ThreadPoolExecutor(4)
        self.sizes = Histogram((1, 2, 4))
        said = Batching(**{"workers": 1, **batching})
        self.batcher = Batcher[str, str](self.compute, self.threads, said, self.sizes)

    def compute(self, inputs):
        self.batches.append(list(inputs))
        assert self.turns.acquire(timeout=60)
        if self.error is not None:
            raise self.error
        return [text.upper() for text in inputs]

    def ask(self, *texts: str) -> asyncio.Task[list[str]]:
        lengths = [len(text) for text in texts]
        return asyncio.ensure_future(self.batcher.run(texts, lengths))

    async def started(self, count: int) -> None:
        async with asyncio.timeout(60.0):  # a thread begins it, and tells nobody
            while True:
                if len(self.batches) >= count:
                    return
                await asyncio.sleep(0)

    def go_on(self, batches: int = 1) -> None:
        self.turns.release(batches)


@pytest.fixture
def stage_of():
    made: list[Stage] = []

    def make(**batching) -> Stage:
        made.append(Stage(**batching))
        return made[-1]

    yield make
    for stage in made:
        stage.turns.release(10_000)
        stage.threads.shutdown()


async def test_a_lone_input_is_computed_at_once(stage_of) -> None:
    stage = stage_of(held=False)
    assert await stage.ask("a") == ["A"]
    assert stage.batches == [["a"]]
    assert stage.batcher.waiting == 0


async def test_what_waits_behind_a_busy_thread_is_computed_together(stage_of) -> None:
    stage = stage_of()
    first = stage.ask("first")
    await stage.started(1)
    others = [stage.ask(text) for text in ("aaaa", "bbbb", "cccc")]
    await asyncio.sleep(0)
    assert stage.batcher.waiting == 3
    stage.go_on(2)
    assert await asyncio.gather(first, *others) == [["FIRST"], ["AAAA"], ["BBBB"], ["CCCC"]]
    assert stage.batches == [["first"], ["aaaa", "bbbb", "cccc"]]
    assert stage.sizes.counts == [1, 0, 1, 0]


async def test_the_oldest_goes_first_with_those_of_about_its_length(stage_of) -> None:
    stage = stage_of()
    stage.ask("first")
    await stage.started(1)
    waiting = [stage.ask("x" * length) for length in (10, 40, 12, 8, 13, 41)]
    await asyncio.sleep(0)
    stage.go_on(10)
    await asyncio.gather(*waiting)
    lengths = [[len(text) for text in batch] for batch in stage.batches[1:]]
    assert lengths == [[10, 12, 8, 13], [40, 41]]


async def test_a_batch_has_a_most_of_inputs_and_of_tokens_with_padding(stage_of) -> None:
    stage = stage_of(batch_max=3, batch_tokens=50)
    stage.ask("first")
    await stage.started(1)
    waiting = [stage.ask("x" * 20) for _ in range(3)] + [stage.ask("y") for _ in range(4)]
    waiting.append(stage.ask("z" * 99))  # more than a batch may have, and still computed
    await asyncio.sleep(0)
    stage.go_on(10)
    await asyncio.gather(*waiting)
    sizes = [[len(text) for text in batch] for batch in stage.batches[1:]]
    assert sizes == [[20, 20], [20], [1, 1, 1], [1], [99]]


@pytest.mark.parametrize(("other", "batches"), [(16, [[4, 16]]), (17, [[4], [17]])])
async def test_padding_may_cost_as_much_as_a_run_and_no_more(stage_of, other, batches) -> None:
    stage = stage_of()
    stage.ask("first")
    await stage.started(1)
    waiting = [stage.ask("x" * length) for length in (4, other)]
    await asyncio.sleep(0)
    stage.go_on(10)
    await asyncio.gather(*waiting)
    assert [[len(text) for text in batch] for batch in stage.batches[1:]] == batches


async def test_one_request_is_shared_among_free_threads(stage_of) -> None:
    stage = stage_of(held=False, workers=2)
    assert await stage.ask(*"abcdefgh") == list("ABCDEFGH")
    assert sorted(len(batch) for batch in stage.batches) == [4, 4]


async def test_a_failure_reaches_everybody_who_waits_and_the_next_is_computed(stage_of) -> None:
    stage = stage_of(held=False)
    stage.error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        await stage.ask("a", "b")
    stage.error = None
    assert await stage.ask("c") == ["C"]


async def test_an_output_too_few_is_our_fault_and_nobody_waits_for_ever(stage_of) -> None:
    stage = stage_of(held=False)
    stage.batcher._compute = lambda inputs: []
    with pytest.raises(InternalError):
        await stage.ask("a")


async def test_what_nobody_waits_for_is_not_computed(stage_of) -> None:
    stage = stage_of()
    first = stage.ask("first")
    await stage.started(1)
    gone, stays = stage.ask("gone"), stage.ask("stay")
    await asyncio.sleep(0)
    gone.cancel()
    stage.go_on(2)
    assert await first == ["FIRST"]
    assert await stays == ["STAY"]
    assert stage.batches == [["first"], ["stay"]]


async def test_a_caller_who_leaves_while_computing_harms_nobody(stage_of) -> None:
    stage = stage_of()
    first = stage.ask("aa")
    await stage.started(1)
    first.cancel()
    await asyncio.wait([first])
    second = stage.ask("bb")
    stage.go_on(2)
    assert await second == ["BB"]


async def test_a_full_queue_refuses_and_says_when_to_come_back(stage_of) -> None:
    stage = stage_of(waiting_max=2)
    stage.ask("first")
    await stage.started(1)
    waiting = stage.ask("a", "b", "c")  # one request alone may have more
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await stage.ask("d")
    assert refused.value.retry_after_s
    stage.go_on(9)
    assert await waiting == ["A", "B", "C"]


async def test_a_thread_waits_for_company_where_it_is_told_to(stage_of) -> None:
    stage = stage_of(held=False, batch_wait_s=0.01)
    assert await asyncio.gather(stage.ask("a"), stage.ask("b")) == [["A"], ["B"]]
    assert stage.batches == [["a", "b"]]


async def test_closing_fails_what_no_thread_has_taken(stage_of) -> None:
    stage = stage_of()
    first = stage.ask("first")
    await stage.started(1)
    second = stage.ask("second")
    await asyncio.sleep(0)
    stage.batcher.close()
    with pytest.raises(InternalError):
        await second
    stage.go_on()
    assert await first == ["FIRST"]


async def test_whoever_comes_after_the_close_does_not_wait_for_ever(stage_of) -> None:
    stage = stage_of()
    stage.batcher.close()
    stage.threads.shutdown()  # as the shelf does, when it has unloaded its models
    late = stage.ask("late")
    for _ in range(20):
        await asyncio.sleep(0)
    assert late.done()
    with pytest.raises(InternalError):
        await late
