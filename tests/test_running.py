"""The server that tests start is ready when it is given, and says so when it is not well."""

import signal
import urllib.error
import urllib.request

import pytest

from running import Running, serve


def test_a_server_answers_has_a_key_and_ends_well(tmp_path):
    with serve(tmp_path, '[models.parrot]\ntargets = ["echo/echo"]\n') as running:
        asked = urllib.request.Request(
            running.url + "/v1/models", headers={"authorization": f"Bearer {running.key}"}
        )
        with urllib.request.urlopen(asked) as answer:
            assert b'"parrot"' in answer.read()
        assert running.port == int(running.url.rpartition(":")[2])
        assert (running.data_dir / "dev.key").exists()
    assert running.process.returncode == 0
    assert [line["event"] for line in running.lines()][-1] == "stopped"


def test_variables_win_over_the_file(tmp_path):
    config = "[server]\nopenapi = true\n"
    with (
        serve(tmp_path, config, GATEMILL_SERVER__OPENAPI="false") as running,
        pytest.raises(urllib.error.HTTPError) as refusal,
    ):
        urllib.request.urlopen(running.url + "/docs")
    assert refusal.value.code == 404
    refusal.value.close()


def test_a_line_that_is_not_yet_written_to_its_end_is_left_for_later(tmp_path):
    log = tmp_path / "server.log"
    running = Running(url="", key="", process=None, data_dir=tmp_path, log=log)
    log.write_bytes(b'banner\n{"event":"ready"}\n{"event":"re')
    assert running.lines() == [{"event": "ready"}]
    log.write_bytes(log.read_bytes() + b'quest"}\n')
    assert [line["event"] for line in running.lines()] == ["ready", "request"]


def test_a_server_that_does_not_start_says_why(tmp_path):
    with (
        pytest.raises(AssertionError, match=r"it did not start:\n.*no_such_section"),
        serve(tmp_path, "[no_such_section]\nx = 1\n"),
    ):
        pytest.fail("it started")


def test_a_server_that_the_test_has_killed_is_left_alone(tmp_path):
    with serve(tmp_path) as running:
        running.process.kill()
        running.process.wait()
    assert running.process.returncode == -signal.SIGKILL


def test_a_failing_test_is_told_as_it_is_and_leaves_no_server(tmp_path):
    with pytest.raises(ZeroDivisionError), serve(tmp_path) as running:
        raise ZeroDivisionError
    assert running.process.returncode is not None
