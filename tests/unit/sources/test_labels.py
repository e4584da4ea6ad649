from __future__ import annotations

import pytest

from drd.sources.labels import is_ours, label, parse_snapshot, snapshot_name

LINEAGE = bytes(range(16))
RUN = b"\x01\xff" * 4


@pytest.mark.parametrize("older", ["", "0123abcd"])
def test_a_name_tells_lineage_run_and_mark(older: str) -> None:
    name = snapshot_name(LINEAGE, RUN, older)
    assert is_ours(name)
    assert parse_snapshot(name) == (LINEAGE, RUN, older)


def test_the_plain_name_is_as_documented() -> None:
    assert snapshot_name(LINEAGE, b"\xab\xcd") == f"drd.{LINEAGE.hex()}.abcd"


@pytest.mark.parametrize(
    "name",
    [
        "before upgrade",
        "",
        "drd.",
        "drd.abc.def",
        f"drd.{LINEAGE.hex()}.abc",
        f"drd.{LINEAGE.hex()}.ab.123",
        f"drd.{LINEAGE.hex()}.ab.0123abcd.x",
        f"xdrd.{LINEAGE.hex()}.abcd",
        f"drd.{LINEAGE.hex().upper()}.abcd",
    ],
)
def test_other_names_tell_nothing(name: str) -> None:
    assert parse_snapshot(name) is None


def test_labels_leave_out_an_empty_namespace() -> None:
    assert label("vms", "disk 1@x") == "vms/disk 1@x"
    assert label("vms", "disk", "tenant") == "vms/tenant/disk"
