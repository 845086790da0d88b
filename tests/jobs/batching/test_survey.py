import json

from batch_play import CHAT, jsonl, line
from gatemill.jobs.batching.survey import PROBLEMS_MAX, lines, survey
from gatemill.jobs.batching.words import Span


async def pieces(data, size=1 << 20):
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def surveyed(data, lines_max=1000, part_lines=3, size=1 << 20):
    return await survey(pieces(data, size), CHAT, lines_max, part_lines)


def codes(found):
    return [(problem.code, problem.line) for problem in found.problems]


async def test_lines_are_divided_into_parts_that_say_where_they_begin():
    rows = [line(f"id-{number}") for number in range(7)]
    data = jsonl(rows[:2]) + b"\n\n" + jsonl(rows[2:])
    found = await surveyed(data)
    assert (found.total, found.problems) == (7, ())
    assert [(span.first, span.last) for span in found.spans] == [(1, 5), (6, 8), (9, 9)]
    for span in found.spans:
        assert json.loads(data[span.start :].splitlines()[0])["custom_id"].startswith("id-")
    assert await surveyed(data, size=5) == await surveyed(data[:-1]) == found


async def test_a_part_is_read_from_where_it_begins():
    data = jsonl([line(f"id-{number}") for number in range(7)])
    span = (await surveyed(data)).spans[1]
    chunk, skip = divmod(span.start, 64)
    found = lines(pieces(data[chunk * 64 :], 64), span.first, span.start, skip)
    assert [one.number async for one in found] == [4, 5, 6, 7]


async def test_bad_lines_are_no_fault_of_the_file():
    rows = [b"nonsense", line("a"), {"custom_id": "b"}, b"[]"]
    found = await surveyed(jsonl(rows))
    assert (found.total, found.problems) == (4, ())
    assert found.spans == (Span(1, 3, 0), Span(4, 4, found.spans[1].start))


async def test_an_empty_file_is_not_usable():
    for data in (b"", b"\n", b" \r\n\n\t"):
        assert codes(await surveyed(data)) == [("empty_file", None)]


async def test_a_file_without_one_good_line_says_what_is_wrong_with_each():
    wrong_url = line("a") | {"url": "/v1/embeddings"}
    found = await surveyed(jsonl([b"nonsense", wrong_url, {}]))
    assert codes(found) == [
        ("invalid_json", 1),
        ("invalid_value", 2),
        ("missing_required_parameter", 3),
    ]
    many = await surveyed(b"x\n" * (PROBLEMS_MAX + 5))
    assert len(many.problems) == PROBLEMS_MAX


async def test_every_repeated_custom_id_is_told_also_of_bad_lines():
    rows = [line("a"), line("b"), line("a"), line("b") | {"method": "GET"}, line("c")]
    found = await surveyed(jsonl(rows))
    assert codes(found) == [("duplicate_custom_id", 3), ("duplicate_custom_id", 4)]
    assert {problem.param for problem in found.problems} == {"custom_id"}
    many = await surveyed(jsonl([line("a")] * (PROBLEMS_MAX + 5)))
    assert len(many.problems) == PROBLEMS_MAX


async def test_too_many_lines_are_refused_at_the_first_one_too_many():
    rows = [line(f"id-{number}") for number in range(4)]
    assert not (await surveyed(jsonl(rows), lines_max=4)).problems
    assert codes(await surveyed(jsonl([*rows, line("e")]), lines_max=4)) == [("too_many_lines", 5)]
