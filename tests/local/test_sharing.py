from __future__ import annotations

from gatemill.core.model import ModelSpec
from gatemill.local.probing import Address
from gatemill.local.sharing import Place

SPEC = ModelSpec("a/b c", "generate", "command", options={"command": ["x"]})


def test_one_process_owns_a_place_and_tells_the_others(tmp_path):
    first, second = Place(tmp_path, SPEC), Place(tmp_path, SPEC)
    assert first.take()
    assert first.take()
    assert not second.take()
    assert second.told() is None
    first.tell(Address(port=9, token="t"))
    assert second.told() == Address(port=9, token="t")
    first.release()
    assert second.told() is None
    assert second.take()
    first.release()
    assert not first.take()
    second.release()


def test_what_an_owner_left_that_was_killed_is_not_believed(tmp_path):
    first, second = Place(tmp_path, SPEC), Place(tmp_path, SPEC)
    first.take()
    first.tell(Address(port=9))
    import os

    os.close(first._held)  # as the system does it
    assert second.told() is not None
    assert second.take()
    assert second.told() is None
    second.release()


def test_what_is_written_there_is_for_its_owner_alone(tmp_path):
    place = Place(tmp_path / "runners", SPEC)
    place.take()
    place.tell(Address(token="t"))
    assert (tmp_path / "runners").stat().st_mode & 0o777 == 0o700
    names = sorted(path.name for path in (tmp_path / "runners").iterdir())
    assert [name.partition("-")[0] + name[-5:] for name in names] == ["a.json", "a.lock"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "runners").iterdir())
    place.release()


def test_models_that_differ_have_places_of_their_own(tmp_path):
    other = ModelSpec("a/b c", "generate", "command", options={"command": ["y"]})
    assert Place(tmp_path, SPEC).log != Place(tmp_path, other).log
    assert Place(tmp_path, SPEC).log == Place(tmp_path, SPEC).log


def test_a_note_that_cannot_be_read_is_none(tmp_path):
    place = Place(tmp_path, SPEC)
    place.take()
    place._note.write_text("{")
    assert place.told() is None
    place.release()
