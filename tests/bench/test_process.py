import os
import select
import signal
import sys

from bench import process

PATIENCE_S = 60.0


def test_cpu_of_a_process_includes_its_ended_children():
    fields = "S 41 " + " ".join(["0"] * 9) + " 10 20 3 4 " + " ".join(["0"] * 30)
    assert process.parse_stat(f"42 (a ) b) {fields}") == process.Stat(parent=41, ticks=37)


def test_a_tree_has_all_descendants_and_nobody_else():
    stats = {pid: process.Stat(parent, 0) for pid, parent in {1: 0, 5: 1, 6: 5, 7: 6, 8: 1}.items()}
    assert process.tree(5, stats) == [5, 6, 7]
    assert process.tree(99, stats) == []


def test_resident_memory_is_read_in_bytes():
    text = "5600-7ffc ---p 00000000 00:00 0   [rollup]\nRss:   1748 kB\nPss:    253 kB\n"
    assert process.parse_rollup(text) == process.Memory(1748 * 1024, 253 * 1024)


def test_a_process_runs_on_its_cores_alone_and_leaves_ours_as_they_were(tmp_path):
    own = os.sched_getaffinity(0)
    core = max(own)
    say = "import os; print(sorted(os.sched_getaffinity(0)))"
    running = process.start([sys.executable, "-c", say], [core], tmp_path / "log")
    assert running.wait(30) == 0
    assert (tmp_path / "log").read_text().strip() == f"[{core}]"
    assert os.sched_getaffinity(0) == own


def test_a_process_and_its_child_are_gone_after_stop(tmp_path):
    # The shell waits for a child that would never end; it ignores the polite request.
    command = ["sh", "-c", "trap '' TERM; tail -f /dev/null & echo $! >&2; wait"]
    log_path = tmp_path / "log"
    running = process.start(command, os.sched_getaffinity(0), log_path)
    while not log_path.read_text().endswith("\n"):
        assert running.poll() is None
    child = int(log_path.read_text())
    with os.fdopen(os.pidfd_open(child)) as its_end:
        process.stop(running, patience_s=0.1)
        # It was killed with its parent; the kernel ends them one after the other.
        assert select.select([its_end], [], [], PATIENCE_S)[0]
    assert running.returncode == -signal.SIGKILL
    assert process.memory(running.pid) == process.Memory(0, 0)


def test_own_memory_and_cpu_are_above_nothing():
    assert process.memory(os.getpid()).rss_bytes > 1_000_000
    assert process.cpu_s(os.getpid()) > 0
