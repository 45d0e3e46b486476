"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# A shared machine may take its time over any one example; the suite's own timeout stays.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
