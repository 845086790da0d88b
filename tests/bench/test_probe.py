import time

import pytest
from bench.failures import BenchStopped
from bench.probe import Answer

from bench import payloads, probe

EVENTS = payloads.stream_events()
CHAT = Answer(200, payloads.chat_answer())


def test_the_upstreams_own_answers_pass():
    probe.check_chat(CHAT)
    probe.check_stream(Answer(200, b"".join(EVENTS)))


@pytest.mark.parametrize(
    "events",
    [
        EVENTS[:10] + EVENTS[11:],  # a word is missing
        EVENTS[:-1],  # no [DONE]
        EVENTS[:-2] + EVENTS[-1:],  # no usage
        [],
    ],
    ids=["word", "done", "usage", "all"],
)
def test_a_stream_with_a_part_missing_does_not_pass(events):
    with pytest.raises(BenchStopped, match="whole stream"):
        probe.check_stream(Answer(200, b"".join(events)))


def test_another_text_is_not_the_upstreams_chat():
    with pytest.raises(BenchStopped, match="not the upstream's chat"):
        probe.check_chat(Answer(200, payloads.chat_answer().replace(b"mill", b"wind")))


def test_a_start_is_over_with_the_first_good_answer():
    answers = iter([None, ConnectionRefusedError(), Answer(503, b""), CHAT])

    def attempt():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    started_s = time.monotonic()
    assert 3 * probe.POLL_S <= probe.first_answer_s(attempt, started_s, 10.0) < 10.0
    assert next(answers, "asked for all") == "asked for all"


def test_a_start_without_a_good_answer_stops_and_tells_the_last_one():
    with pytest.raises(BenchStopped, match=r"within 0 s.*status=503"):
        probe.first_answer_s(lambda: Answer(503, b"busy"), time.monotonic(), 0.4)
