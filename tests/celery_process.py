"""Celery's ordinary commands, and programs that use our app, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from site_under_fire import Site

APP = "gatemill.dispatch.celery_app"
WORKER = (sys.executable, "-m", "celery", "-A", APP, "worker")
PATIENCE_S = 60.0


def command(site: Site, *words: str) -> str:
    """What `celery -A … WORDS` writes."""
    return _ran(site, (sys.executable, "-m", "celery", "-A", APP, *words))


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
