import msgspec

from bench import payloads


def test_requests_and_answers_are_about_one_kilobyte():
    for body in (
        payloads.chat_request(),
        payloads.stream_request(paced=False),
        payloads.stream_request(paced=True),
        payloads.chat_answer(),
    ):
        assert 900 <= len(body) <= 1100


def test_a_stream_has_64_events_and_ends_with_usage_and_done():
    events = payloads.stream_events()
    assert len(events) == 64
    assert events[-1] == b"data: [DONE]\n\n"
    assert msgspec.json.decode(events[-2][6:])["usage"]["total_tokens"] == 241


def test_only_the_paced_request_asks_for_pace():
    assert payloads.PACED_WORD in payloads.stream_request(paced=True)
    assert payloads.PACED_WORD not in payloads.stream_request(paced=False)
    assert payloads.PACED_WORD not in payloads.chat_request()


def test_the_chunks_of_a_stream_are_its_events_and_the_end():
    _, chunks = payloads.http_stream()
    first = payloads.stream_events()[0]
    assert chunks[0] == b"%x\r\n" % len(first) + first + b"\r\n"
    assert chunks[-1].endswith(b"0\r\n\r\n")
