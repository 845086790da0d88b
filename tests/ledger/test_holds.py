import mmap
import os
import sys

import msgspec
import pytest

from gatemill.ledger import holds, journal
from gatemill.ledger.holds import NOWHERE, ROW_BYTES_MAX, SLOT_BYTES, Holds
from usage_rows import usage_row


def attempt(name, **fields):
    return usage_row(name, unsettled=True, error="unsettled", **fields)


@pytest.fixture
def failures():
    return []


@pytest.fixture
def fresh(tmp_path, failures):
    opened = Holds(tmp_path, 2, 8, failures.append)
    yield opened
    opened.close(remove=True)


def die(source):
    """What the kernel does for a killed process: files closed, nothing removed."""
    source._map.close()
    os.close(source._fd)


def rows(data):
    return journal.decode(data).rows


def recovered(folder):
    found = {}

    def commit(owner, data):
        found[owner] = rows(data)

    return holds.recover(folder, commit), found


def test_a_held_row_is_there_until_it_is_released(fresh):
    slot = fresh.hold(attempt(1))
    assert rows(fresh.held()) == [attempt(1)]
    fresh.release(slot)
    assert fresh.held() == b""


def test_slots_are_used_again_and_a_short_row_hides_a_long_one(fresh):
    slot = fresh.hold(attempt(1, model="m" * 200))
    fresh.release(slot)
    assert fresh.hold(attempt(2)) == slot
    assert rows(fresh.held()) == [attempt(2)]


def test_the_file_grows_up_to_its_bound_and_says_once_it_is_full(fresh, failures):
    slots = [fresh.hold(attempt(n)) for n in range(9)]
    assert sorted(slots) == [NOWHERE, *range(8)]
    assert fresh.path.stat().st_size == 8 * SLOT_BYTES
    assert {row.request_id for row in rows(fresh.held())} == {f"req_{n}" for n in range(8)}
    assert failures == ["8 attempts are under way, the most that are held"]
    fresh.release(NOWHERE)
    fresh.release(slots[3])
    assert fresh.hold(attempt("again")) == slots[3]


def test_a_disk_without_room_leaves_attempts_unheld(tmp_path, failures):
    # A file size limit would need a process of its own; a descriptor that only reads will do.
    small = Holds(tmp_path, 2, 8, failures.append)
    slots = [small.hold(attempt(n)) for n in range(2)]
    whole, small._fd = small._fd, os.open(small.path, os.O_RDONLY)
    assert small.hold(attempt("more")) == NOWHERE
    os.close(small._fd)
    small._fd = whole
    assert small.hold(attempt("still more")) == NOWHERE
    assert len(failures) == 2
    small.release(slots[0])
    assert small.hold(attempt("later")) == slots[0]
    small.close(remove=True)


@pytest.mark.parametrize("chars", ["m", "\x01", "\N{PILE OF POO}"])
def test_long_names_are_cut_so_that_the_row_fits(fresh, chars):
    long = chars * 5_000
    row = attempt(1, model=long, target_model=long, version=long, user_id="u", decision=long)
    fresh.hold(row)
    fresh.hold(attempt(2))
    first, second = rows(fresh.held())
    if first.attempt_id != row.attempt_id:
        first, second = second, first
    assert first.model
    assert long.startswith(first.model)
    assert msgspec.structs.replace(
        first, model=long, target_model=long, version=long, decision=long
    ) == msgspec.structs.replace(row)
    assert second == attempt(2)


def test_a_row_that_cannot_fit_is_not_held_and_spoils_nothing(fresh, failures):
    assert fresh.hold(attempt("x" * ROW_BYTES_MAX)) == NOWHERE
    assert fresh.held() == b""
    assert failures == ["the row of an attempt is too long"]


def test_the_longest_row_that_fits_stays_within_its_slot(fresh):
    spare = ROW_BYTES_MAX - len(msgspec.json.encode(attempt(1, model="")))
    longest = attempt(1, model="m" * spare)
    first, second = fresh.hold(longest), fresh.hold(attempt(2))
    assert {first, second} == {0, 1}
    assert {row.request_id: row for row in rows(fresh.held())} == {
        "req_1": longest,
        "req_2": attempt(2),
    }


def test_what_a_dead_process_held_is_found_once(tmp_path, failures):
    source = Holds(tmp_path, 2, 8, failures.append)
    released = source.hold(attempt(1))
    source.hold(attempt(2))
    source.hold(attempt(3))
    source.release(released)
    die(source)
    count, found = recovered(tmp_path)
    assert count == 2
    assert {row.request_id for row in found[source.owner]} == {"req_2", "req_3"}
    assert recovered(tmp_path) == (0, {})
    assert list(tmp_path.iterdir()) == []


def test_an_owner_without_attempts_is_found_dead_too(tmp_path, failures):
    source = Holds(tmp_path, 2, 8, failures.append)
    die(source)
    assert recovered(tmp_path) == (0, {source.owner: []})


def test_what_a_living_process_holds_is_left_alone(fresh, tmp_path):
    fresh.hold(attempt(1))
    assert recovered(tmp_path) == (0, {})
    assert fresh.path.exists()


def test_a_file_stays_when_its_rows_cannot_be_committed(tmp_path, failures):
    source = Holds(tmp_path, 2, 8, failures.append)
    source.hold(attempt(1))
    die(source)

    def refuse(owner, data):
        raise OSError(owner)

    with pytest.raises(OSError, match=source.owner):
        holds.recover(tmp_path, refuse)
    assert recovered(tmp_path)[0] == 1


def test_a_death_at_any_instant_leaves_a_slot_empty_or_whole(tmp_path, failures):
    source = Holds(tmp_path, 1, 1, failures.append)
    slot = source.hold(attempt("first"))
    seen = []

    class Watched:
        """The map, read after every single write to it."""

        def __setitem__(self, place, value):
            real[place] = value
            seen.append([row.request_id for row in rows(holds.lines(real[:]))])

        def __getattr__(self, name):
            return getattr(real, name)

    real, source._map = source._map, Watched()
    source.release(slot)
    source.hold(attempt("second, which is longer than the first one"))
    source._map = real
    assert seen == [[], [], ["req_second, which is longer than the first one"]]
    assert isinstance(real, mmap.mmap)
    source.close(remove=True)


def test_a_closed_file_takes_and_gives_nothing(tmp_path, failures):
    source = Holds(tmp_path, 2, 8, failures.append)
    slot = source.hold(attempt(1))
    source.close(remove=False)
    source.release(slot)
    assert source.hold(attempt(2)) == NOWHERE
    assert recovered(tmp_path)[0] == 1


def test_holding_and_releasing_are_two_python_calls(fresh):
    row = attempt(1)
    calls = []

    def count(frame, event, argument):
        if event == "call":
            calls.append(frame.f_code.co_name)

    sys.setprofile(count)
    fresh.release(fresh.hold(row))
    sys.setprofile(None)
    assert calls == ["hold", "release"]
