"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure; what is wrong is wrong without a clock.
settings.register_profile("gatemill", deadline=None, print_blob=True)
settings.load_profile("gatemill")
