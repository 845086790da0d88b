from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from children import lives
from gatemill.local import guard

PATIENCE_S = 60.0
ISOLATED = [sys.executable, "-I", "-S", guard.__file__]


@pytest.fixture
def guarded(tmp_path):
    """Runs shell text under a guard; gives the guard and the child's process id."""
    made = []

    def run(text, *, log_bytes=4096, grace_s=0.2, env=None):
        process = subprocess.Popen(
            [*ISOLATED, *_options(tmp_path, log_bytes, grace_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=env,
        )
        made.append(process)
        process.stdin.write(_told("bash", "-c", text, SAID="aloud"))
        process.stdin.flush()
        return process, int(process.stdout.readline())

    yield run
    for process in made:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def _options(tmp_path, log_bytes, grace_s):
    return [str(tmp_path / "log"), str(log_bytes), str(grace_s)]


def _told(*argv, **variables):
    return json.dumps({"argv": argv, "variables": variables}).encode() + b"\n"


def heard(tmp_path, word):
    """Returns when the child has written a word."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if (tmp_path / "log").exists() and word in (tmp_path / "log").read_text():
            return
        time.sleep(0.01)
    raise AssertionError(word)


def gone(pid):
    until = time.monotonic() + PATIENCE_S
    while lives(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not lives(pid)


def test_the_child_s_exit_code_is_the_guard_s(guarded):
    assert guarded("exit 7")[0].wait(PATIENCE_S) == 7
    assert guarded("kill -9 $$")[0].wait(PATIENCE_S) == 128 + 9


def test_output_is_kept_within_its_bound_and_for_its_owner_alone(guarded, tmp_path):
    process, _ = guarded("seq 1 5000; echo oops >&2")
    process.wait(PATIENCE_S)
    log, before = tmp_path / "log", tmp_path / "log.1"
    assert log.read_text().endswith("5000\noops\n")
    assert log.stat().st_size + before.stat().st_size <= 4096
    assert log.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1"]


def test_the_next_start_keeps_what_the_last_one_said(guarded, tmp_path):
    guarded("echo first")[0].wait(PATIENCE_S)
    guarded("echo second")[0].wait(PATIENCE_S)
    assert (tmp_path / "log").read_text() == "second\n"
    assert (tmp_path / "log.1").read_text() == "first\n"


@pytest.mark.parametrize("how", ["SIGTERM", "input"])
def test_a_child_that_hears_nothing_is_made_to_end(guarded, tmp_path, how):
    text = "trap '' TERM; (trap '' TERM; sleep 600) & echo $!; echo ready; wait; sleep 600"
    process, pid = guarded(text)
    heard(tmp_path, "ready")
    other = int((tmp_path / "log").read_text().split()[0])
    if how == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        process.stdin.close()
    assert process.wait(PATIENCE_S) == 128 + 9
    assert gone(pid)
    assert gone(other)


def test_a_child_that_ends_well_is_given_the_time(guarded, tmp_path):
    text = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    process, _ = guarded(text, grace_s=15)
    heard(tmp_path, "ready")
    process.send_signal(signal.SIGINT)  # is for the terminal's own process
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert "bye" in (tmp_path / "log").read_text()


def test_what_the_child_has_left_behind_ends_with_it(guarded, tmp_path):
    process, _ = guarded("sleep 600 & echo $!; exit 0")
    assert process.wait(PATIENCE_S) == 0
    assert gone(int((tmp_path / "log").read_text()))


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child of its parent's death"
)
def test_a_child_does_not_outlive_a_guard_that_is_killed(guarded, tmp_path):
    process, pid = guarded("echo ready; exec sleep 600")
    heard(tmp_path, "ready")
    process.kill()
    assert gone(pid)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (_told("no-such-command"), b"cannot run 'no-such-command': No such file or directory\n"),
        (_told("true")[:-1], b""),  # who has started it is gone
    ],
)
def test_what_cannot_be_run_is_said(tmp_path, told, said):
    command = [*ISOLATED, *_options(tmp_path, 9, 1)]
    done = subprocess.run(command, input=told, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (127, said, b"")


def test_the_child_sees_what_it_is_given_and_no_secret_of_ours(guarded, tmp_path):
    kept = {"PATH": os.environ["PATH"], "HF_TOKEN": "1", "KEYS": "2", "TOKENIZERS_PARALLELISM": "3"}
    ends = ("API_KEY", "ACCESS_KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS")
    secrets = {f"A_{end}": "no" for end in ends} | {"a_api_key": "no", "GATEMILL_URL": "no"}
    process, _ = guarded("env", env=kept | secrets)
    assert process.wait(PATIENCE_S) == 0
    found = dict(line.split("=", 1) for line in (tmp_path / "log").read_text().splitlines())
    own = {"_", "PWD", "SHLVL", "OLDPWD", "LC_CTYPE"}  # of the shell and of Python
    assert {name: found[name] for name in found.keys() - own} == {**kept, "SAID": "aloud"}


def test_the_guard_needs_nothing_but_the_standard_library():
    tree = ast.parse(Path(guard.__file__).read_text())
    found = {
        one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names
    }
    found |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "subprocess" in found
    assert not {name.partition(".")[0] for name in found} - sys.stdlib_module_names
