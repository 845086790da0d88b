"""Settings of all tests."""

from __future__ import annotations

import gc
import os

from hypothesis import settings

# A busy machine is no failure; what is wrong is wrong without a clock. Each run draws other examples.
EXAMPLES = int(os.environ.get("GATEMILL_TEST_EXAMPLES", "30"))
settings.register_profile("gatemill", deadline=None, print_blob=True, max_examples=EXAMPLES)
settings.load_profile("gatemill")


def pytest_xdist_auto_num_workers(config) -> int:
    """Tests wait for other processes for a third of their time."""
    return max(2, (os.cpu_count() or 2) * 3 // 2)


def pytest_collection_finish(session) -> None:
    """What the tests are made of stays as it is; looking through it again and again takes a while."""
    gc.collect()
    gc.freeze()
