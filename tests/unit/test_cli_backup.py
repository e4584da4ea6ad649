"""One image after the other: what becomes of one is told, and does not stop the others."""

from __future__ import annotations

import pytest

from drd.cli.backup import back_up_each
from drd.cli.output import Reply
from drd.errors import RefusedError
from drd.model import BackupResult, Found
from drd.ports import Source
from drd.work.backup import backup
from tests.unit.work.world import CELL, World, fill

NAMES = ["a", "b", "c"]


@pytest.fixture
def world() -> World:
    made = World(size=4 * CELL)
    fill(made)
    for name in NAMES:
        made.source.add(name, 4 * CELL)
    return made


def each(world: World, failure: BaseException, reply: Reply) -> list[BackupResult]:
    """Back all up; *failure* is raised for the second."""

    def back_up(source: Source, found: Found) -> BackupResult:
        if found.label == "source/b":
            raise failure
        return backup(world.process().bench, source, found)

    found = [(world.source, world.source.found(name)) for name in NAMES]
    points = back_up_each(found, back_up, reply)
    reply.done = len(points)
    return points


@pytest.mark.parametrize("failure", [ValueError("a surprise"), RefusedError("in use")])
def test_what_is_wrong_with_one_image_stops_no_other(world: World, failure: Exception) -> None:
    """A bug that one image lays bare, too: no line of what was committed may be lost for it."""
    reply = Reply()
    points = each(world, failure, reply)
    assert [one.name for one in points] == ["source/a", "source/c"]
    (error,) = reply.errors
    assert error.about == "source/b"
    assert str(failure.args[0]) in error.message
    assert reply.exit_code == 3


def test_ctrl_c_stops_all_and_tells_what_was_done(world: World) -> None:
    reply = Reply()
    points = each(world, KeyboardInterrupt(), reply)
    assert [one.name for one in points] == ["source/a"]
    assert [error.about for error in reply.errors] == ["source/b"]
    assert reply.exit_code == 130
