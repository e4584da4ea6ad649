"""Keep rules decide what ``restic forget`` decided when it was asked (``tests/golden/restic``)."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drd.core.retention import Keep, decide

ANSWERS = json.loads((Path(__file__).parents[2] / "golden" / "restic" / "forget.json").read_text())


@pytest.mark.parametrize("number", range(len(ANSWERS["histories"])))
def test_the_same_points_stay(number: int) -> None:
    """Compared by time: of two points of one time restic may keep one, here they stay together."""
    history = ANSWERS["histories"][number]
    times = [datetime.fromisoformat(one) for one in history["times"]]
    assert len(history["cases"]) >= 30
    for case in history["cases"]:
        decisions = decide(times, Keep(**case["keep"]), max(times), zone=ZoneInfo(history["zone"]))
        stay = {one.time.isoformat() for one in decisions if one.keep}
        assert stay == set(case["kept"]), (history["zone"], case["keep"])


def test_they_were_asked_about_what_differs() -> None:
    """A recording that loses nothing, or whose zones do not matter, would show nothing."""
    cases = [(one, case) for one in ANSWERS["histories"] for case in one["cases"]]
    assert sum(len(case["kept"]) < len(one["times"]) for one, case in cases) > 80
    assert sum(-1 in case["keep"].values() for _, case in cases) > 20
    assert sum(case["kept"][0] == one["times"][0] for one, case in cases) > 20
