"""What every engine of dispatch promises: jobs run once, in order, whatever becomes of the messages."""

from __future__ import annotations

import pytest

import dispatch_promises
from dispatch_sites import PLACES, joined

# Celery's are in tests/dispatch/test_celery.py: its workers take seconds to start.
OURS = [(engine, database) for engine, database in PLACES if not engine.startswith("celery")]


@pytest.mark.parametrize(("engine", "database"), OURS)
def test_jobs_run_once_and_in_order_whatever_workers_are_told_and_whoever_dies(
    tmp_path, engine, database
):
    with joined(tmp_path, engine, database, workers=1, slots=dispatch_promises.SLOTS) as place:
        dispatch_promises.hold(place)
