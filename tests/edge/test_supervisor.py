"""What the supervisor decides about workers that fail, die, hang or start."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import msgspec

from gatemill.edge.workers import QUICK_DEATHS_MAX

SUPERVISED = """
import os, signal, sys, time
import msgspec
from gatemill.core.errors import StartRefused
from gatemill.edge.workers import Supervisor, bound

class Hasty:
    "A clock that a look moves on, so that no pause takes long."
    now_s = 0.0
    def monotonic_s(self):
        self.now_s += {step_s}
        return self.now_s

def say(event, **fields):
    sys.stdout.write(msgspec.json.encode({{"event": event, **fields}}).decode() + "\\n")
    sys.stdout.flush()

def lives(pid):
    "Not yet taken off the table by the supervisor."
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

HEAR, TELL = os.pipe()  # from one worker to the other

def work(seat, replaces):
{work}

try:
    code = Supervisor(bound("127.0.0.1", 0, 2), work, say, Hasty(), 1.0).run()
except StartRefused as refusal:
    say("refused", words=refusal.message)
    code = 1
raise SystemExit(code)
"""


def _supervised(work, step_s=0.2):
    """What a supervisor says of workers that do this, and how it ended."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SUPERVISED.format(work=textwrap.indent(work, "    "), step_s=step_s),
        ],
        capture_output=True,
        timeout=60,
        check=False,
        start_new_session=True,  # whatever it signals, it is not us
    )
    lines = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    return lines, done.returncode, done.stderr


def test_a_first_worker_that_fails_ends_it_all_with_its_words():
    lines, code, _ = _supervised('seat.say("failed", "no\\nroom")\nreturn 3')
    assert code == 1
    assert lines[-1] == {"event": "refused", "words": "no room"}
    assert [line["worker"] for line in lines if line["event"] == "worker_started"] == [1]


def test_a_worker_that_dies_at_once_again_and_again_is_given_up():
    work = """
seat.say("ready")
if seat.number == 1:
    signal.pause()
seat.say("failed", "the disk is full")
return 7
"""
    lines, code, _ = _supervised(work)
    assert code == 1
    died = [line for line in lines if line["event"] == "worker_died"]
    assert [line["worker"] for line in died] == [2] * QUICK_DEATHS_MAX
    assert died[0]["words"] == "the disk is full"
    assert lines[-1]["words"] == (
        f"worker 2 ended with exit code 7, {QUICK_DEATHS_MAX} times in a row: the disk is full"
    )


def test_a_fault_in_a_worker_is_shown_and_one_that_is_killed_is_called_so():
    lines, code, errors = _supervised('raise ValueError("a bug")')
    assert code == 1
    assert b"ValueError: a bug" in errors
    assert lines[-1]["words"] == "worker 1 ended with exit code 1"
    lines, code, _ = _supervised("signal.raise_signal(signal.SIGKILL)")
    assert lines[-1]["words"] == "worker 1 was killed by signal 9"


def test_a_worker_that_does_not_end_is_killed_when_patience_is_over():
    work = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
seat.say("ready")
if seat.number == 2:
    os.kill(os.getppid(), signal.SIGTERM)
while True:
    signal.pause()
"""
    lines, code, _ = _supervised(work, step_s=4.0)
    assert code == 1
    assert "worker_died" not in [line["event"] for line in lines]


def test_one_that_has_left_is_not_signalled_again_at_the_end():
    # Number 1 hurries: it ends before the others, and the supervisor is told a second time. A
    # signal to nobody in particular would end the bystander, too.
    work = """
told = {signal.SIGTERM, signal.SIGUSR2}
bystander = 0
if seat.number == 2 and not seat.anew:
    bystander = os.fork()
    if not bystander:
        signal.pause()
signal.pthread_sigmask(signal.SIG_BLOCK, told)
seat.say("ready")
if seat.anew:
    signal.sigwait(told)
elif seat.number == 1:
    os.write(TELL, b"%d" % os.getpid())
    assert signal.sigwait(told) == signal.SIGUSR2  # replaced: it asks for the end of all
    os.kill(os.getppid(), signal.SIGTERM)
else:
    os.kill(os.getppid(), signal.SIGUSR2)
    first = int(os.read(HEAR, 20))
    signal.sigwait(told)
    while lives(first):
        time.sleep(0.01)
    os.kill(os.getppid(), signal.SIGTERM)
    signal.sigwait(told)
    os.kill(bystander, signal.SIGKILL)
    assert os.waitpid(bystander, 0)[1] == signal.SIGKILL
return 0
"""
    lines, code, errors = _supervised(work, step_s=0.001)
    assert code == 0, errors
    assert lines[-1]["event"] != "refused"


def test_one_that_is_ended_while_it_starts_is_no_failure():
    work = """
if seat.number == 1:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    seat.say("ready")
    signal.sigwait({signal.SIGTERM})
    return 0
os.kill(os.getppid(), signal.SIGTERM)
while True:
    signal.pause()
"""
    _, code, errors = _supervised(work)
    assert code == 0, errors


def test_one_that_was_starting_hears_of_a_reload_when_it_is_ready():
    # Number 1 is told first; by then number 2, whom the signal would end, was passed over.
    work = """
told = {signal.SIGHUP, signal.SIGTERM}
if seat.number == 1:
    signal.pthread_sigmask(signal.SIG_BLOCK, told)
    seat.say("ready")
    assert signal.sigwait(told) == signal.SIGHUP
    os.write(TELL, b"!")
else:
    os.kill(os.getppid(), signal.SIGHUP)
    os.read(HEAR, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, told)
    seat.say("ready")
    assert signal.sigwait(told) == signal.SIGHUP
    os.kill(os.getppid(), signal.SIGTERM)
assert signal.sigwait(told) == signal.SIGTERM
return 0
"""
    lines, code, errors = _supervised(work)
    assert code == 0, errors
    assert "worker_died" not in [line["event"] for line in lines]
