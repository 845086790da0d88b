"""`gatemill …` for the guides' scripts, without the third of a second in which each process imports the same.

    script.replace("uv run gatemill", warmed.GATEMILL)      # what a shell runs in its place
    subprocess.run([*warmed.PYTHON, program])               # in place of `python -c`

One process has imported the command line. Each command is a fork of it, with the caller's words, environment,
folder and files, and ends with its code. Rule: what goes on until it is stopped is a process of its own, and
so is everything where nothing is `running()`.
"""

from __future__ import annotations

import _socket  # `socket` and `json` would double what a caller costs, of which there are hundreds
import marshal
import os
import sys
from array import array

_FOLDER = f"/tmp/gatemill-warmed-{os.getuid()}-{os.getpid()}"  # the path of a socket is short
_DOOR = f"{_FOLDER}/door"
PYTHON = (sys.executable, "-I", "-S", __file__, _DOOR, "-c")
GATEMILL = " ".join(PYTHON[:-1])
_GO_ON = ("serve", "worker", "consume", "fake-provider", "webhooks listen")
_BYTES = 1 << 16
_KILLED = 137


def _call(door: str, words: list[str]) -> int:
    """The code with which it has ended. Nothing heavy is imported here."""
    caller = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    alone = " ".join(words).startswith(_GO_ON)
    try:
        if not alone:
            caller.connect(door)
    except OSError:
        alone = True
    if alone:
        own = words if words[:1] == ["-c"] else ["-m", "gatemill", *words]
        os.execv(sys.executable, [sys.executable, *own])
    files = array("i", (0, 1, 2, os.open(".", os.O_RDONLY)))
    told = marshal.dumps((words, dict(os.environ)))
    caller.sendmsg([told[:1]], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    for at in range(1, len(told), _BYTES):
        caller.sendall(told[at : at + _BYTES])
    caller.shutdown(_socket.SHUT_WR)
    code = caller.recv(1)
    return code[0] if code else _KILLED


def _warm(folder: str) -> None:
    """What commands import is here."""
    import contextlib
    import threading
    from pathlib import Path

    from gatemill.cli.main import run

    sys.path[0] = ""  # as after `-c` and `-m`
    os.chdir(folder)
    os.environ |= {"GATEMILL_SERVER__DISCOVER": "false", "GATEMILL_URL": "http://127.0.0.1:9"}
    with Path(os.devnull).open("w") as nowhere:
        for words in (["keys", "create", "warm"], ["keys", "ls"], ["jobs", "ls"], ["check"]):
            with (
                contextlib.redirect_stdout(nowhere),
                contextlib.redirect_stderr(nowhere),
                contextlib.suppress(SystemExit),
            ):
                run(words)
    assert threading.active_count() == 1  # or a fork would lack them


def _serve(door: str) -> None:
    """Answers until it is killed, or standard input ends."""
    import gc
    import importlib
    import select
    import signal
    import socket

    _warm(door.rpartition("/")[0])
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(door)
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(1, b"ready\n")
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        if 0 in ready:  # whoever started this is gone, even if killed
            os._exit(0)
        caller, _ = listening.accept()
        told, given, _, _ = socket.recv_fds(caller, 1, 4)
        if not given:  # it was killed before it had said what it wants
            caller.close()
            continue
        *files, folder = given
        while more := caller.recv(_BYTES):
            told += more
        words, environ = marshal.loads(told)
        if words[:1] == ["-c"] and "openai" in words[1]:
            importlib.import_module("openai")  # it takes a second
        gc.freeze()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            os.fchdir(folder)
            os.environ.clear()
            os.environ.update(environ)
            _take(files)
            _end(caller.fileno(), _code(words))
        for each in given:
            os.close(each)
        caller.close()


def _take(files: list[int]) -> None:
    """Standard input, output and error are the caller's."""
    for number, each in enumerate(files):
        os.dup2(each, number)
        os.close(each)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _code(words: list[str]) -> int:
    """What the command or the program ends with."""
    import traceback

    from gatemill.cli.main import run

    try:
        if words[:1] == ["-c"]:
            sys.argv = ["-c"]
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = ["gatemill", *words]
            run(words)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(caller: int, code: int) -> None:
    """The fork ends as an interpreter does, but for taking its modules apart."""
    import atexit
    import threading

    for each in threading.enumerate():
        if each is not threading.current_thread() and not each.daemon:
            each.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):  # nobody reads, or `run` has closed it for that
            code = code or 120
    os.write(caller, bytes([code & 255]))
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        _serve(sys.argv[2])
    sys.exit(_call(sys.argv[1], sys.argv[2:]))


def running():
    """Commands are forks for as long as this is iterated: the body of a fixture."""
    import shutil
    import signal
    import subprocess
    from pathlib import Path

    shutil.rmtree(_FOLDER, ignore_errors=True)  # of a killed run whose number came again
    Path(_FOLDER).mkdir(0o700)
    command = [sys.executable, __file__, "--serve", _DOOR]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, start_new_session=True) as warm:
        try:
            assert warm.stdout is not None
            assert warm.stdout.readline() == b"ready\n"
            yield
            assert warm.poll() is None
        finally:
            os.killpg(warm.pid, signal.SIGKILL)
            shutil.rmtree(_FOLDER)
