from __future__ import annotations

import pytest

import warmed

commands = pytest.fixture(scope="session", autouse=True)(warmed.running)
