"""The same configuration, read again."""

from __future__ import annotations

from gatemill.settings.source import Draft, Source

GOOD = '[models.a]\ntargets = ["echo/echo"]\n'


def _source(folder, text, environ=None, **flags):
    (folder / "gatemill.toml").write_text(text)
    flags = {name.replace("__", "."): value for name, value in flags.items()}
    flags.setdefault("server.data_dir", str(folder / "data"))
    return Source(folder / "gatemill.toml", environ or {}, flags, lister=None)


def test_a_file_that_holds_is_given_with_its_text(tmp_path):
    draft = _source(tmp_path, GOOD).load()
    assert isinstance(draft, Draft)
    assert draft.text == GOOD.encode()
    assert "a" in draft.loaded.settings.models


def test_everything_wrong_is_said_with_its_place(tmp_path):
    answer = _source(tmp_path, "[server]\nprot = 1\nport = 'x'\n").load()
    assert isinstance(answer, tuple)
    assert [line.replace(f"{tmp_path}/", "").partition(": ")[0] for line in answer] == [
        "gatemill.toml:2",
        "gatemill.toml:3",
    ]


def test_flags_and_environment_hold_again(tmp_path):
    environ = {"GATEMILL_LIMITS__BODY_BYTES": "77"}
    source = _source(tmp_path, GOOD, environ, server__port=1234)
    (tmp_path / "gatemill.toml").write_text("[server]\nport = 1\n[limits]\nbody_bytes = 1\n")
    settings = source.load().loaded.settings
    assert (settings.server.port, settings.limits.body_bytes) == (1234, 77)


def test_the_file_is_the_one_of_the_flag_the_variable_or_the_default(tmp_path):
    file = tmp_path / "x.toml"
    assert Source(file, {"GATEMILL_CONFIG": "y"}, {}).file == file
    assert str(Source(None, {"GATEMILL_CONFIG": "y"}, {}).file) == "y"
    assert str(Source(None, {}, {}).file) == "gatemill.toml"


def test_without_a_file_there_is_an_empty_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Source(None, {}, {}, lister=None).load().text == b""


# --- A process that joins others ------------------------------------------------------------------


def test_it_takes_the_file_of_now_but_what_needs_a_restart_stays(tmp_path):
    source = _source(tmp_path, GOOD)
    first = source.load()
    (tmp_path / "gatemill.toml").write_text("[server]\nport = 1\n[limits]\nbody_bytes = 5\n")
    settings = source.load_again(first).loaded.settings
    assert settings.limits.body_bytes == 5
    assert settings.server.port == first.loaded.settings.server.port


def test_while_the_file_is_broken_it_takes_what_was_applied_last(tmp_path):
    source = _source(tmp_path, GOOD)
    first = source.load()
    source.history(first).add(b"[limits]\nbody_bytes = 6\n", "aaaaaaaaaaaa", 1)
    (tmp_path / "gatemill.toml").write_text("oops")
    again = source.load_again(first)
    assert again.loaded.settings.limits.body_bytes == 6
    assert again.loaded.path == tmp_path / "gatemill.toml"


def test_without_anything_better_it_takes_what_the_others_began_with(tmp_path):
    source = _source(tmp_path, GOOD)
    first = source.load()
    (tmp_path / "gatemill.toml").write_text("oops")
    assert source.load_again(first).text == first.text
    source.history(first).add(b"also broken", "aaaaaaaaaaaa", 1)
    assert source.load_again(first).text == first.text
