"""The locustfile: it always compiles and names what the guide names; where locust is installed, it runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import heavy
from running import serve

HERE = Path(__file__).parent
FILE = HERE / "locustfile.py"
TEXT = FILE.read_text()
GUIDE = (HERE.parents[1] / "docs" / "guides" / "load-test.md").read_text()
CONFIG = '[models.echo]\ntargets = ["echo/echo"]\n'


def test_it_compiles_and_the_guide_names_every_variable():
    compile(TEXT, str(FILE), "exec")
    names = set(re.findall(r'environ\.get\("(\w+)"', TEXT))
    assert len(names) == 6
    assert not {name for name in names if name not in GUIDE}
    weights = set(re.findall(r'@task\(WEIGHTS\["(\w+)"\]\)', TEXT))
    assert weights == {"chat", "stream", "embeddings", "job"}
    assert not {name for name in weights if f"LOAD_{name.upper()}" not in GUIDE}


@heavy.needs("locust")
def test_it_loads_a_gateway_and_nothing_fails(tmp_path: Path):
    how = ("--headless", "-u", "8", "-r", "8", "-t", "6s", "--only-summary")
    command = (sys.executable, "-m", "locust", "-f", str(FILE), *how)
    with serve(tmp_path, CONFIG) as running:
        weights = {"LOAD_PAUSE_S": "0.1", "LOAD_JOB": "10"}
        done = subprocess.run(
            [*command, "--host", running.url],
            env={**os.environ, "GATEMILL_API_KEY": running.key, **weights},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for name in ("chat", "stream", "first token", "embeddings", "job submitted", "job done"):
        assert re.search(rf" {name} +[1-9]\d* +0\(0.00%\)", said), said
