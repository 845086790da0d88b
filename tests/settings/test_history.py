"""Configurations are kept, the last twenty, for their owner only."""

from __future__ import annotations

import threading

from gatemill.settings.history import KEPT_MAX, UNAPPLIED, History, replace


def test_there_is_no_history_at_first(tmp_path):
    assert History(tmp_path).entries() == []
    assert History(tmp_path).find(1) is None


def test_entries_are_listed_the_newest_first_with_their_texts(tmp_path):
    past = History(tmp_path)
    first = past.add(b"one", "aaaaaaaaaaaa", 10.9)
    second = past.add(b"two", "bbbbbbbbbbbb", 20.0)
    assert [first.number, second.number] == [1, 2]
    assert past.entries() == [second, first]
    assert [entry.text for entry in past.entries()] == [b"two", b"one"]
    assert (first.version, first.unix_s) == ("aaaaaaaaaaaa", 10)
    assert past.find(1) == first


def test_the_same_again_is_no_new_entry(tmp_path):
    past = History(tmp_path)
    first = past.add(b"one", "aaaaaaaaaaaa", 10)
    assert past.add(b"one", "aaaaaaaaaaaa", 99) == first
    assert past.add(b"one", "cccccccccccc", 99).number == 2
    assert past.add(b"one # now", "cccccccccccc", 99).number == 3


def test_the_oldest_make_room_and_numbers_go_on(tmp_path):
    past = History(tmp_path)
    for number in range(KEPT_MAX + 5):
        past.add(b"%d" % number, "aaaaaaaaaaaa", number)
    assert [entry.number for entry in past.entries()] == list(range(KEPT_MAX + 5, 5, -1))


def test_only_the_owner_may_read(tmp_path):
    entry = History(tmp_path).add(b"api_key", "aaaaaaaaaaaa", 1)
    assert entry.path.stat().st_mode & 0o777 == 0o600
    assert entry.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_it_makes_is_its_owners_alone(tmp_path):
    History(tmp_path / "data").add(b"one", "aaaaaaaaaaaa", 1)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_what_was_never_applied_is_kept_apart(tmp_path):
    past = History(tmp_path)
    good = past.add(b"one", "aaaaaaaaaaaa", 1)
    past.add(b"broken", UNAPPLIED, 2)
    assert len(past.entries()) == 2
    assert past.applied() == [good]


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    past = History(tmp_path)
    past.add(b"one", "aaaaaaaaaaaa", 1)
    (tmp_path / "config" / "mine.toml").write_text("x")
    assert len(past.entries()) == 1


def test_processes_that_keep_the_same_at_once_make_one_entry(tmp_path):
    start = threading.Barrier(8)

    def keep():
        past = History(tmp_path)
        start.wait()
        past.add(b"same", "aaaaaaaaaaaa", 1)

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.number for entry in History(tmp_path).entries()] == [1]


def test_a_file_is_replaced_as_a_whole_with_the_mode_that_is_asked_for(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("a longer text than the next")
    replace(file, b"short", mode=0o640)
    assert file.read_bytes() == b"short"
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]
