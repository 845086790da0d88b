import stat
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from gatemill.core.errors import InvalidValue, LedgerUnavailable
from gatemill.ledger import pepper


def test_a_pepper_is_made_once_for_its_owner_only(tmp_path):
    made = pepper.read_or_create(tmp_path / "pepper")
    assert len(made) == 32
    assert pepper.read_or_create(tmp_path / "pepper") == made
    assert stat.S_IMODE((tmp_path / "pepper").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["pepper"]


def test_processes_that_start_together_agree_on_one_pepper(tmp_path):
    together = Barrier(8)

    def start(_):
        together.wait(60.0)
        return pepper.read_or_create(tmp_path / "pepper")

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(start, range(8)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pepper"]


def test_a_pepper_cut_short_is_refused(tmp_path):
    (tmp_path / "pepper").write_bytes(b"x" * 31)
    with pytest.raises(InvalidValue, match=r"31 bytes.*backup"):
        pepper.read_or_create(tmp_path / "pepper")


def test_a_pepper_that_cannot_be_made_is_named(tmp_path):
    with pytest.raises(LedgerUnavailable, match="nowhere/pepper"):
        pepper.read_or_create(tmp_path / "nowhere" / "pepper")


def test_a_database_takes_no_other_pepper_than_its_first(database):
    pepper.bind(database, b"a" * 32)
    pepper.bind(database, b"a" * 32)
    with pytest.raises(LedgerUnavailable, match="backup"):
        pepper.bind(database, b"b" * 32)
