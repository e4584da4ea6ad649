"""How hard property tests try.

As a rule the same examples each time, few enough for every run of the tests. With ``DRD_EFFORT=20`` in the
environment twenty times as many, and other ones each time: for a long run by hand.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

FACTOR: Final = int(os.environ.get("DRD_EFFORT", "1"))


def effort(examples: int, *, steps: int = 50) -> settings:
    """Settings for a property that usually tries so many examples (of so many steps)."""
    return settings(
        max_examples=examples * FACTOR,
        stateful_step_count=steps,
        derandomize=FACTOR == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
