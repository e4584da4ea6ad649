"""What a restore that met damage tells, whatever comes after it."""

from __future__ import annotations

from typing_extensions import override

from drd.cli.output import Reply
from drd.cli.restore import _affected
from drd.model import ByteRange
from drd.ports import Store
from drd.work.restore import Damage, Outcome
from tests.unit.work.points import NAME, KeysRead, with_points


class Impatient(KeysRead):
    """Somebody presses Ctrl-C when the second manifest is asked for."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._manifests = 0

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        self._manifests += key.startswith("m/")
        if self._manifests > 1:
            raise KeyboardInterrupt
        return super().get(key, version=version, start=start, length=length)


def test_ctrl_c_while_other_points_are_looked_for_loses_no_damage_that_was_found() -> None:
    world = with_points(3)
    points = world.points()
    repository = world.repository(store=Impatient(world.store))
    lost = [Damage(ByteRange(at, 4096), key, "rot") for at, key in enumerate(world.keys("p/"))]
    reply = Reply()
    _affected(reply, Outcome(damage=lost), points, repository)
    findings = reply.lists["findings"]
    assert [row["offset"] for row in findings] == [0, 1, 2]
    assert [row["points"] for row in findings if row["points"]] == [[f"{NAME}@1"]]
    assert any("interrupted" in one for one in reply.warnings)
