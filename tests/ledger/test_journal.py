import os

import pytest

from gatemill.ledger import journal
from gatemill.ledger.journal import Journal, decode, recover
from usage_rows import usage_row

SMALL = 1_000  # bytes: two rows


@pytest.fixture
def fresh(tmp_path):
    opened = Journal(tmp_path, SMALL, 4 * SMALL)
    yield opened
    opened.close()


def drain(source):
    rows = []
    while chunk := source.pending():
        rows += decode(chunk.data).rows
        source.retire(chunk)
    return rows


def sizes(folder):
    return sorted(path.stat().st_size for path in folder.glob("*.jsonl"))


def collect(into):
    return lambda data: into.extend(decode(data).rows)


def die(source):
    """What the kernel does for a killed process: files closed, nothing removed."""
    for file in source._files:
        file.map.close()
        os.close(file.fd)


def test_rows_come_back_once_and_in_order(fresh):
    rows = [usage_row(n) for n in range(5)]
    for row in rows:
        fresh.append(row)
    assert drain(fresh) == rows
    assert fresh.pending() is None


def test_rows_are_offered_again_until_they_are_retired(fresh):
    fresh.append(usage_row(1))
    assert fresh.pending() == fresh.pending() is not None


def test_files_take_turns_and_the_committed_one_is_emptied(fresh, tmp_path):
    rows = [usage_row(n) for n in range(40)]
    committed = []
    for row in rows:
        fresh.append(row)
        committed += drain(fresh)
    assert committed == rows
    assert max(sizes(tmp_path)) < 2 * SMALL


def test_a_full_journal_refuses_rows_and_takes_them_again_once_emptied(fresh):
    rows = []

    def fill():
        for n in range(100):
            fresh.append(usage_row(n))
            rows.append(usage_row(n))

    with pytest.raises(OSError, match="journal is full"):
        fill()
    assert len(rows) > 8
    assert drain(fresh) == rows
    fresh.append(usage_row("late"))
    assert drain(fresh) == [usage_row("late")]


def test_a_row_longer_than_a_chunk_is_read_whole(tmp_path):
    roomy = Journal(tmp_path, SMALL, 8 * journal.CHUNK_BYTES)
    rows = [usage_row(1, model="m" * journal.CHUNK_BYTES * 3), usage_row(2)]
    for row in rows:
        roomy.append(row)
    assert drain(roomy) == rows
    roomy.close()


def test_a_file_that_grew_is_small_again_once_it_is_emptied(tmp_path):
    elastic = Journal(tmp_path, SMALL, 100 * SMALL)
    rows = [usage_row(n) for n in range(60)]
    for row in rows:
        elastic.append(row)
    assert max(sizes(tmp_path)) > SMALL
    assert drain(elastic) == rows
    for number in range(60, 80):
        elastic.append(usage_row(number))
        assert drain(elastic) == [usage_row(number)]
    assert sizes(tmp_path) == [SMALL, SMALL]
    elastic.close()


def test_text_with_line_breaks_stays_one_row(fresh):
    row = usage_row(1, model="a\nb\r\u2028c\x85")
    fresh.append(row)
    assert drain(fresh) == [row]


def test_closing_removes_the_files_when_all_rows_are_committed(tmp_path):
    closing = Journal(tmp_path, SMALL, SMALL)
    closing.append(usage_row(1))
    drain(closing)
    closing.close()
    assert sizes(tmp_path) == []


def test_closing_leaves_rows_that_are_not_committed_to_the_next_process(tmp_path):
    closing = Journal(tmp_path, SMALL, SMALL)
    closing.append(usage_row(1))
    closing.close()
    found = []
    assert recover(tmp_path, collect(found)) == (1, 0)
    assert found == [usage_row(1)]


def test_an_append_after_the_end_fails_instead_of_hitting_another_file(tmp_path):
    closing = Journal(tmp_path, SMALL, SMALL)
    closing.close()
    with pytest.raises(OSError, match="journal is closed"):
        closing.append(usage_row(1))


def test_what_a_dead_process_left_is_recovered_once(tmp_path):
    dead = Journal(tmp_path, SMALL, 4 * SMALL)
    rows = [usage_row(n) for n in range(6)]
    for row in rows:
        dead.append(row)
    die(dead)
    found = []
    assert recover(tmp_path, collect(found)).lines == 6
    assert sorted(row.request_id for row in found) == [row.request_id for row in rows]
    assert recover(tmp_path, collect(found)) == (0, 0)
    assert sizes(tmp_path) == []


def test_a_last_line_cut_by_the_death_is_counted_and_ignored(tmp_path):
    dead = Journal(tmp_path, SMALL, SMALL)
    dead.append(usage_row(1))
    file = dead._files[0]
    half = journal.encode(usage_row(2))[:-20]
    file.map[file.written : file.written + len(half)] = half
    die(dead)
    found = []
    assert recover(tmp_path, collect(found)) == (1, 1)
    assert found == [usage_row(1)]


def test_a_line_with_a_hole_left_by_the_death_is_counted_and_ignored(tmp_path):
    dead = Journal(tmp_path, SMALL, SMALL)
    dead.append(usage_row(1))
    file = dead._files[0]
    line = journal.encode(usage_row(2)) + b"\n"
    holed = line[:20] + bytes(20) + line[40:]
    file.map[file.written : file.written + len(line)] = holed
    die(dead)
    found = []
    assert recover(tmp_path, collect(found)) == (1, 1)
    assert found == [usage_row(1)]


def test_the_journal_of_a_living_process_is_left_alone(fresh, tmp_path):
    fresh.append(usage_row(1))
    assert recover(tmp_path, pytest.fail) == (0, 0)
    assert drain(fresh) == [usage_row(1)]


def test_a_file_stays_when_its_rows_could_not_be_committed(tmp_path):
    dead = Journal(tmp_path, SMALL, SMALL)
    dead.append(usage_row(1))
    die(dead)

    def fail(data):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        recover(tmp_path, fail)
    found = []
    recover(tmp_path, collect(found))
    assert found == [usage_row(1)]


def test_lines_that_are_no_rows_are_told_apart():
    good = journal.encode(usage_row(1))
    found = decode(good + b'\n{"attempt_id":1}\n\xff\n' + good + b"\n")
    assert found.rows == [usage_row(1)] * 2
    assert found.rejected == [b'{"attempt_id":1}', b"\xff"]


def test_rejected_lines_are_kept_for_a_human(tmp_path):
    journal.keep_rejected(tmp_path, [b"one"])
    journal.keep_rejected(tmp_path, [b"two"])
    assert (tmp_path / journal.REJECTED).read_bytes() == b"one\ntwo\n"
