"""`import gatemill` loads nothing that is not used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gatemill
from gatemill.core import errors
from gatemill.core.version import VERSION

HEAVY = ("asyncio", "msgspec", "pydantic", "fastapi", "uvicorn", "aiohttp", "structlog", "sqlite3")
OURS_MAX = 3  # gatemill, gatemill.core and the version


def test_importing_it_loads_next_to_nothing():
    code = "import sys, gatemill; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert [name for name in HEAVY if name in modules] == []
    assert len([name for name in modules if name.split(".")[0] == "gatemill"]) <= OURS_MAX


def test_opening_it_loads_neither_the_server_nor_the_command_line():
    code = "import sys, gatemill; gatemill.open; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    unwanted = ("fastapi", "uvicorn", "typer", "gatemill.edge", "gatemill.cli")
    assert [name for name in unwanted if name in modules] == []


def test_serving_loads_nothing_that_only_describes():
    code = "import sys, gatemill.edge.server; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = ("fastapi", "gatemill.describe.document", "gatemill.describe.schemas")
    assert [name for name in unwanted if name in done.stdout.split()] == []


def test_all_that_it_names_is_there():
    assert gatemill.__version__ == VERSION
    assert gatemill.errors is errors
    for name in gatemill.__all__:
        assert getattr(gatemill, name) is not None
        assert name in dir(gatemill)


def test_what_it_does_not_name_is_not_there():
    with pytest.raises(AttributeError, match="module 'gatemill' has no attribute 'opne'"):
        _ = gatemill.opne
