"""Celery's ordinary commands, and programs that use our app, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from site_under_fire import Site

APP = "gatemill.dispatch.celery_app"
WORKER = (sys.executable, "-m", "celery", "-A", APP, "worker")
PATIENCE_S = 180.0


def commands(site: Site, *lines: str) -> list[str]:
    """What Celery's own program writes for each of these lines of words, given one after the other."""
    start = f"from celery.bin.celery import celery\nfor words in {[line.split() for line in lines]!r}:\n"
    run = f"    celery.main(['-A', '{APP}', *words], standalone_mode=False)\n    print(chr(12))\n"
    return _ran(site, (sys.executable, "-c", start + run)).split("\f")[:-1]


def asked(site: Site, program: str) -> Any:
    """The JSON that a program writes which has `app` and AsyncResult."""
    start = f"import json\nfrom celery.result import AsyncResult\nfrom {APP} import app\n"
    return json.loads(_ran(site, (sys.executable, "-c", start + program)))


def _ran(site: Site, words: tuple[str, ...]) -> str:
    done = subprocess.run(
        words,
        check=False,
        cwd=site.folder,
        env=site.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
