"""Databases of both kinds for every test that asks for one."""

from __future__ import annotations

import pytest

import databases


@pytest.fixture(params=databases.KINDS)
def place(request, tmp_path):
    """An empty database of either kind."""
    with databases.empty(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def database(place):
    """An open one with the present schema."""
    with databases.migrated(place) as opened:
        yield opened
