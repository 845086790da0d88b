"""It starts and answers without the internet, and does not even try to reach it."""

import json
import subprocess
import sys
from pathlib import Path

import island
import needs


def test_a_machine_without_a_network_serves_and_sends_nothing(tmp_path: Path):
    program = [sys.executable, island.__file__, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode == island.REFUSED:
        needs.missing("this machine gives nobody a network namespace")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["seen"] >= 1  # it would have been counted
    assert said == {"asked": 200, "strays": 0, "seen": said["seen"]}
