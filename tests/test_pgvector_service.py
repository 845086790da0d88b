"""Test processes come and go while they share a server: the first starts it, the last takes it away."""

from __future__ import annotations

import fcntl
import shutil

import pytest

import pgvector_service


@pytest.mark.parametrize("comes_again", [False, True])
def test_who_waits_for_the_last_one_to_leave_finds_a_folder_of_its_own(
    tmp_path, monkeypatch, comes_again
):
    folder, lock = tmp_path / "shared", fcntl.flock
    asked = []

    def leave_first(file, how):
        asked.append(how)
        if len(asked) == 1:  # what waited for this lock goes on once the folder is away
            shutil.rmtree(folder)
            if comes_again:  # a third one was quicker
                folder.mkdir()
                (folder / "lock").touch()
        lock(file, how)

    monkeypatch.setattr(pgvector_service, "_FOLDER", folder)
    monkeypatch.setattr(fcntl, "flock", leave_first)
    with pgvector_service._alone(), (folder / "lock").open() as other:
        (folder / "url").write_text("here")
        with pytest.raises(BlockingIOError):
            lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert asked == [fcntl.LOCK_EX] * 2
