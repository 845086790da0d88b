"""Several processes with counters of their own are refused, wherever that was asked for."""

from __future__ import annotations

import pytest

from settings_files import loaded, refused

WORDS = (
    'server.workers: 4 processes need shared counters: set stores.counters = "redis://host:6379/0",'
    " or workers = 1"
)


def test_the_refusal_has_its_place_and_the_remedy(tmp_path):
    assert refused(tmp_path, "[server]\nworkers = 4\n") == [f"gatemill.toml:2: {WORDS}"]
    text = '[server]\nworkers = 4\n[stores]\ncounters = "memory"\n'
    assert refused(tmp_path, text) == [f"gatemill.toml:2: {WORDS}"]


def test_a_variable_is_refused_by_its_name(tmp_path):
    (error,) = refused(tmp_path, "", {"GATEMILL_SERVER__WORKERS": "4"})
    assert error.startswith("env GATEMILL_SERVER__WORKERS: ")
    assert "shared counters" in error


@pytest.mark.parametrize(
    "text",
    [
        "[server]\nworkers = 1\n",
        '[server]\nworkers = 4\n[stores]\ncounters = "redis://127.0.0.1:6379/0"\n',
        '[server]\nworkers = 4\n[stores]\ncounters = "redis://127.0.0.1:6379/0"\ncache = "memory"\n',
    ],
)
def test_one_process_or_shared_counters_may_start(tmp_path, text):
    assert loaded(tmp_path, text).settings.server.workers in (1, 4)


def test_a_wrong_type_has_one_error_only(tmp_path):
    assert len(refused(tmp_path, '[server]\nworkers = "4"\n')) == 1


@pytest.mark.parametrize("text", ["admin_port = 8700\n", "port = 9000\nadmin_port = 9000\n"])
def test_both_listeners_at_one_port_are_refused(tmp_path, text):
    (error,) = refused(tmp_path, "[server]\n" + text)
    assert "server.admin_port" in error
    assert "is server.port, too" in error


@pytest.mark.parametrize(
    "text", ["admin_port = 8701\n", "port = 0\nadmin_port = 0\n", "port = 9000\n"]
)
def test_other_ports_are_fine(tmp_path, text):
    assert loaded(tmp_path, "[server]\n" + text).settings.server.host == "127.0.0.1"
