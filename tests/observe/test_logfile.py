"""A log in a file: bounded, shared, and renamed by us or by others without a lost line."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from gatemill.observe.lines import LineWriter
from gatemill.observe.logfile import LogFile, opened


def lines_in(folder: Path) -> list[str]:
    """Of all files together."""
    return [line for file in folder.iterdir() for line in file.read_text().splitlines()]


def test_a_file_that_is_full_is_renamed_and_the_oldest_goes(tmp_path):
    file = LogFile(tmp_path / "a.log", bytes_max=20, files_max=2)
    for number in range(8):
        file.write(b"line %04d\n" % number)  # ten bytes: two of them fill a file
    file.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert (tmp_path / "a.log").read_bytes() == b"line 0006\nline 0007\n"
    assert (tmp_path / "a.log.2").read_bytes() == b"line 0002\nline 0003\n"


def test_a_batch_larger_than_a_file_is_written_all_the_same(tmp_path):
    file = LogFile(tmp_path / "a.log", bytes_max=5, files_max=1)
    file.write(b"a long line\n")
    file.write(b"another line\n")
    file.close()
    assert (tmp_path / "a.log").read_bytes() == b"another line\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"a long line\n"


@pytest.mark.parametrize("told", [True, False])
def test_what_others_rename_is_let_go_of(tmp_path, told):
    path = tmp_path / "a.log"
    writer = LineWriter(LogFile(path, bytes_max=1000, files_max=0))
    writer.write(b"before\n")
    while not path.read_bytes():
        pass
    path.rename(tmp_path / "a.log.old")
    if told:
        writer.reopen()
    writer.write(b"after\n")
    writer.close()
    assert (tmp_path / "a.log.old").read_bytes() == b"before\n"
    assert path.read_bytes() == b"after\n"


def _write(path: Path, name: str) -> None:
    file = LogFile(path, bytes_max=2000, files_max=500)
    for number in range(200):
        file.write(f"{name} {number} {'x' * 40}\n".encode())
    file.close()


def test_several_writers_lose_no_line_while_they_rename(tmp_path):
    names = ["a", "b", "c"]
    # Locks of a file are between those who have opened it: threads stand for processes.
    writers = [threading.Thread(target=_write, args=(tmp_path / "log", name)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = lines_in(tmp_path)
    assert len(found) == len(set(found)) == 600
    assert {line.split()[0] for line in found} == set(names)
    assert max(one.stat().st_size for one in tmp_path.iterdir()) < 2300


def test_one_that_may_not_rename_the_file_holds_up_nobody(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * 30)
    files = [LogFile(path, bytes_max=20, files_max=1) for _ in range(2)]
    (tmp_path / "log.1" / "taken").mkdir(parents=True)  # a name that cannot be taken
    for file in files:  # the second waited for the first one's lock, and for ever
        with pytest.raises(OSError, match=r"log"):
            file.write(b"line\n")
    (tmp_path / "log.1" / "taken").rmdir()
    (tmp_path / "log.1").rmdir()
    for file in files:
        file.write(b"line\n")
        file.close()
    assert path.read_bytes() == b"line\n" * 2


def test_a_forked_process_does_not_keep_the_lock_of_the_file(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * 30)
    other, ours = (LogFile(path, bytes_max=20, files_max=1) for _ in range(2))
    copy = os.dup(ours._fd)  # as a worker has it of its supervisor
    ours.write(b"a\n")
    fcntl.flock(other._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(copy)
    for file in (other, ours):
        file.close()


def test_a_disk_that_is_full_costs_lines_which_are_counted():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    writer = LineWriter(LogFile(full, bytes_max=1000, files_max=0))
    writer.write(b"nobody reads this\n")
    writer.close()
    assert writer.dropped == 1


def test_no_file_is_standard_output(tmp_path):
    assert opened("", 1, 1) is None
    with pytest.raises(FileNotFoundError):
        opened(str(tmp_path / "nowhere" / "a.log"), 1, 1)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        opened(str(tmp_path / "folder"), 1, 1)
