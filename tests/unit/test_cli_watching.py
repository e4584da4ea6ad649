"""``drctl status --watch``: what a narrow terminal shows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from drd.cli.output import Reply
from drd.cli.watching import LESS, REASON_LEAST, drawn, widths

ROW = {
    "name": "vms/tenant-a/database-17",
    "point": "2027-03-01 12:00Z",
    "age": "11h 30m / 2h",
    "next_run": "in 12m",
    "verified": "L2 3h 5m ago",
    "state": "failing",
    "why": "the bucket cannot be reached: connection refused [s3://backups/drd], 7 times in a row",
}
MATTERS = ("name", "age", "state")


def lines(room: int, **row: str) -> list[str]:
    """What is shown of two images, one of which has a reason."""
    out = io.StringIO()
    reply = Reply(shown=[{**ROW, **row}, {**ROW, "name": "vms/b", "why": ""}])
    Console(file=out, width=room, legacy_windows=False).print(drawn(reply, room))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("room", [80, 100, 132])
def test_the_reason_is_cut_and_not_what_matters(room: int) -> None:
    head, line, other = lines(room)
    assert all(ROW[column] in line for column in MATTERS)
    assert ROW["why"] not in line
    assert ROW["why"][:12] in line, "as much of it as there is room for"
    assert "…" in line
    assert "failing" in other
    assert "why" in head
    assert max(map(len, (head, line, other))) <= room


def test_a_wide_terminal_shows_all() -> None:
    _, line, _ = lines(240)
    assert all(text in line for text in ROW.values())


def test_the_reason_goes_before_the_name_is_cut() -> None:
    for room in range(240, 10, -1):
        wide = widths([ROW], room)
        assert wide["age"] == len(ROW["age"])
        assert wide["state"] == len(ROW["state"])
        if wide["name"] < len(ROW["name"]):
            assert set(wide) == set(MATTERS), room
        if room > 40:
            assert sum(wide.values()) + 2 * (len(wide) - 1) <= room
        if room >= 92 + REASON_LEAST:
            assert set(wide) == set(ROW), "a reason gives way before a column goes"
        dropped = [column not in wide for column in LESS]
        assert dropped == sorted(dropped, reverse=True), "in their order"


def test_without_a_reason_there_is_room_for_all_sooner() -> None:
    _, line, _ = lines(95, why="")
    assert all(ROW[column] in line for column in ROW if column != "why")


def test_names_are_measured_in_cells() -> None:
    _, line, _ = lines(80, name="vms/" + "日本" * 10)
    assert "日本" * 10 in line
    assert "failing" in line
