"""Who is traced, what waits, and what becomes of spans that nobody takes."""

from __future__ import annotations

import random
import threading

import msgspec
import pytest

from collector import collecting
from gatemill.core.call import Attempt, Call, Head, Usage
from gatemill.core.trace import NOT_TRACED, Trace, current
from gatemill.observe import semconv
from gatemill.observe.otlp import Receiver
from gatemill.observe.spans import Asked, Maker, Ran
from gatemill.observe.trace import BATCH_SPANS_MAX, Terms, Tracer, trace_of
from playbook import target

THEIRS = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", is_sampled=True)
NOT_THEIRS = Trace(THEIRS.id, THEIRS.span)


class Taking:
    """A receiver in memory."""

    def __init__(self, *answers: tuple[bool, bool]) -> None:
        self.answers = list(answers)
        self.batches: list[list] = []
        self.tries = 0
        self.asked = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def send(self, spans):
        self.tries += 1
        self.asked.set()
        self.go.wait(20.0)
        answer = self.answers.pop(0) if self.answers else (True, False)
        if answer[0]:
            self.batches.append(list(spans))
        return answer


def tracer(receiver=None, *, ratio=1.0, trusts=False, queue_max=1000, flush_s=10.0, seed=7):
    drawn = random.Random(seed)
    terms = Terms(ratio, trusts, queue_max, flush_s)
    maker = Maker(semconv.VERSIONS["latest"], {"a": "openai"})
    return Tracer(terms, maker, receiver or Taking(), drawn.random, drawn.getrandbits)


def ran(trace: Trace) -> Ran:
    return Ran(trace, THEIRS, "job_1", "chat", "inference", 1, 1_700_000_000.0, 2.0, "failed", "x")


def test_ids_come_from_the_source_of_randomness_alone():
    first, second = (tracer(seed=1) for _ in range(2))
    assert first.begin(None) == second.begin(None)
    assert first.begin(None) != tracer(seed=2).begin(None)
    for one in (first, second):
        one.close()


@pytest.mark.parametrize(
    ("ratio", "trusts", "parent", "is_sampled"),
    [
        (0.0, True, THEIRS, True),
        (1.0, True, NOT_THEIRS, False),
        (0.0, False, THEIRS, False),
        (1.0, False, NOT_THEIRS, True),
        (1.0, False, None, True),
    ],
)
def test_a_caller_decides_only_where_trusted(ratio, trusts, parent, is_sampled):
    one = tracer(ratio=ratio, trusts=trusts)
    made = one.begin(parent)
    assert made.is_sampled == is_sampled
    if parent is not None:
        assert made.id == THEIRS.id
        assert (
            (made.parent, made.span) == (THEIRS.span, made.span)
            if is_sampled
            else ("", THEIRS.span)
        )
    one.close()


def test_a_share_of_what_nobody_decides_is_traced():
    one = tracer(ratio=0.25)
    made = [one.begin(None) for _ in range(4000)]
    assert 0.2 < sum(trace is not None for trace in made) / 4000 < 0.3
    one.close()


def test_what_is_asked_on_behalf_of_something_is_below_it_or_not_traced():
    one = tracer()
    outer = one.begin(None)
    for above, parent in ((outer, outer.span), (NOT_TRACED, None), (NOT_THEIRS, "")):
        token = current.set(above)
        made = trace_of(one, b"")
        current.reset(token)
        assert (made and made.parent) == parent
    one.close()


def test_without_a_tracer_a_context_is_handed_on():
    assert trace_of(None, b"") is None
    assert trace_of(None, b"\xff nonsense") is None
    made = trace_of(None, b"00-%b-%b-01" % (THEIRS.id.encode(), THEIRS.span.encode()))
    assert (made.id, made.span, made.is_sampled, made.is_wanted) == (
        THEIRS.id,
        THEIRS.span,
        False,
        True,
    )


def test_a_job_is_traced_where_its_submission_was():
    one = tracer(ratio=0.0)
    assert one.link(None) is None
    assert one.link(NOT_THEIRS) is None
    assert one.link(THEIRS).id != THEIRS.id
    one.close()
    always = tracer()
    assert always.link(None).is_sampled
    assert always.link(NOT_THEIRS) is None
    always.close()


def test_all_that_waits_is_sent_at_the_end_in_batches():
    taking = Taking()
    one = tracer(taking)
    for _ in range(BATCH_SPANS_MAX + 3):
        one.add(ran(one.begin(None)))
    assert one.waiting <= BATCH_SPANS_MAX + 3
    one.close()
    assert sum(map(len, taking.batches)) == one.sent == BATCH_SPANS_MAX + 3
    assert (one.dropped, one.waiting) == (0, 0)


def test_more_than_may_wait_is_dropped_and_counted():
    taking = Taking()
    taking.go.clear()
    one = tracer(taking, queue_max=2)
    one.add(ran(one.begin(None)))
    assert taking.asked.wait(20.0)
    for _ in range(5):
        one.add(ran(one.begin(None)))
    assert (one.waiting, one.dropped) == (2, 3)
    taking.go.set()
    one.close()
    assert (one.sent, one.dropped) == (3, 3)


def test_a_receiver_that_is_stuck_at_the_end_is_not_waited_for():
    taking = Taking()
    taking.go.clear()
    one = tracer(taking, flush_s=0.01)
    one.add(ran(one.begin(None)))
    assert taking.asked.wait(20.0)
    one.add(ran(one.begin(None)))
    one.close()
    assert one.dropped == 1  # the other may still arrive
    taking.go.set()
    one._thread.join(20.0)


def test_another_try_is_made_where_it_may_help_and_none_at_the_end():
    for answers, tries, dropped in (
        ([(False, False)], 1, 1),
        ([(False, True), (False, True)], 1, 1),  # it is closing: there is no time
    ):
        taking = Taking(*answers)
        one = tracer(taking)
        one._closing.set()
        one.add(ran(one.begin(None)))
        one.close()
        if taking.tries:  # else the thread had ended before
            assert (taking.tries, one.dropped, one.refused) == (tries, dropped, 1)


def test_what_did_not_arrive_is_sent_again():
    taking = Taking((False, True))
    one = tracer(taking)
    one.add(ran(one.begin(None)))
    assert taking.asked.wait(20.0)
    while taking.tries < 2:
        taking.asked.clear()
        assert taking.asked.wait(20.0)
    one.close()
    assert (one.sent, one.refused, one.dropped) == (1, 1, 0)


# --- What is sent -------------------------------------------------------------------------------


def asked(**fields) -> Asked:
    call = Call(
        id="req_1",
        operation="chat",
        body=b"",
        head=Head(model="m", stream=True, output_max=1 << 70, choices=2),
        started_s=100.0,
        deadline_s=0.0,
        arrived_at=1_700_000_000.0,
    )
    tried = Attempt(target(), 1, 100.5, 102.0, 101.0, 200)
    tried.usage = Usage(
        input=10, cache_read=4, cache_write=3, output=2, reasoning=1, estimated=True
    )
    call.attempts = [tried]
    call.finish = "stop"
    call.job_id, call.cache = "job_1", "miss"
    said = {
        "trace": Trace("ab" * 16, "cd" * 8, is_sampled=True),
        "call": call,
        "path": "",
        "duration_s": 2.5,
        "ours_s": 0.5,
        "status": 200,
        "error": "",
        "cost_microusd": 7,
    }
    return Asked(**{**said, **fields})


@pytest.mark.parametrize(
    ("version", "written"),
    [
        ("latest", "gen_ai.usage.cache_write.input_tokens"),
        ("1.41", "gen_ai.usage.cache_creation.input_tokens"),
    ],
)
def test_names_follow_the_version_of_the_conventions(version, written):
    maker = Maker(semconv.VERSIONS[version], {"a": "openai"})
    request, attempt = maker.spans(asked())
    assert attempt.attributes[written] == 3
    assert attempt.attributes["gen_ai.usage.input_tokens"] == 17
    assert attempt.attributes["gen_ai.usage.output_tokens"] == 3
    assert attempt.attributes["gen_ai.usage.reasoning.output_tokens"] == 1
    assert attempt.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attempt.attributes["gen_ai.response.time_to_first_chunk"] == 0.5
    assert attempt.attributes["gen_ai.provider.name"] == "openai"
    assert (attempt.start_s, attempt.end_s) == (1_700_000_000.5, 1_700_000_002.0)
    assert request.attributes["gatemill.cost_microusd"] == 7
    assert request.attributes["gatemill.job.id"] == "job_1"


def test_every_name_of_opentelemetry_is_in_one_file():
    from pathlib import Path

    import gatemill

    root = Path(gatemill.__file__).parent
    for file in root.rglob("*.py"):
        if file.name != "semconv.py":
            text = file.read_text()
            assert '"gen_ai.' not in text, file
            assert '"service.name"' not in text, file


def receiver(url: str, **more) -> Receiver:
    return Receiver(url, {"x-key": "k"}, {"service.name": "s"}, 10.0, **more)


def test_a_receiver_gets_whatever_a_caller_has_made_up():
    spans = Maker(semconv.VERSIONS["latest"], {}).spans(asked(path="/v1/\udc80", error="x"))
    with collecting() as collector:
        assert receiver(collector.url).send(spans) == (True, False)
        server, attempt = collector.spans
    assert server.attributes["url.path"] == "/v1/?"
    assert server.attributes["error.type"] == "x"
    assert attempt.attributes["gen_ai.request.max_tokens"] == (1 << 63) - 1
    assert attempt.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert attempt.attributes["gen_ai.request.stream"] is True
    assert server.resource == {"service.name": "s"}


@pytest.mark.parametrize(
    ("status", "found"),
    [(200, (True, False)), (400, (False, False)), (429, (False, True)), (503, (False, True))],
)
def test_what_a_receiver_answers_decides_whether_it_is_asked_again(status, found):
    with collecting() as collector:
        collector.answers = [status]
        url = collector.url
        assert receiver(f"{url}/base").send([]) == found
        assert collector.paths == ["/base/v1/traces"]
    assert receiver(url).send([]) == (False, True)  # nobody is there any more
    assert receiver("https" + url[4:]).send([]) == (False, True)


def test_spans_that_cannot_be_made_or_sent_are_lost_and_the_thread_lives_on():
    kept = Taking()
    made = tracer(kept)
    trace = made.begin(None)
    assert trace is not None
    made.add(asked(trace=Trace("ab" * 16, "no digits", is_sampled=True)))
    odd = msgspec.structs.replace(ran(trace), duration_s=float("inf"))
    made.add(odd)
    made.close()
    assert not made._thread.is_alive()
    assert [[span.name for span in batch] for batch in kept.batches] == [["job chat"]]
    assert (made.sent, made.dropped) == (1, 2)
    with collecting() as collector:
        assert receiver(collector.url).send(kept.batches[0]) == (False, False)  # no such time
        there = Receiver(collector.url, {"x-key": "two\nlines"}, {}, 10.0)
        assert there.send([]) == (False, False)
        assert collector.paths == []
