"""What only several keys together can tell: each fault with its line, key, and the nearest right thing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.config.checking import inspect
from drd.config.faults import Fault, as_error, refuse, show_duration
from drd.config.values import parse_duration
from drd.core.gaps import gap_at_changes, gap_with_blackout, longest_blackout, ordinary_gap
from drd.errors import ConfigError

PATH = Path("/etc/drd/drd.toml")
GOOD = """\
[repository]
url = "file:///srv/drd"
[keys]
file = "/key"
[source.vms]
type = "rbd"
pool = "rbd"
images = ["vm-*"]
policy = "gold"
[policy.gold]
every = "1h"
rpo = "2h"
"""


def faults(text: str, level: str = "error") -> list[Fault]:
    return [one for one in inspect(text, PATH)[1] if one.level == level]


def only(text: str, level: str = "error") -> Fault:
    (fault,) = faults(text, level)
    assert fault.file == str(PATH)
    assert fault.hint
    # The line is that of the key, or of the table that holds it.
    assert (
        fault.key.rpartition(".")[2] in text.splitlines()[fault.line - 1]
        or "[" in (text.splitlines()[fault.line - 1])
    )
    return fault


def test_what_is_right_is_right() -> None:
    config, found = inspect(GOOD, PATH)
    assert config is not None
    assert found == []


def test_the_example_has_one_warning_and_no_error() -> None:
    path = Path(__file__).parents[2] / "config" / "drd.toml"
    config, found = inspect(path.read_text(), path)
    assert config is not None
    assert [(one.level, one.key) for one in found] == [("warning", "source.disks")]


# ── errors ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "old,new,line,key,message,hint",
    [
        ('rpo = "2h"', 'rpo = "30m"', 12, "policy.gold.rpo",
         "is 30m, shorter than the interval (every), 1h", 'write rpo = "2h"'),
        ('every = "1h"', 'cron = "0 2 * * 1-5"', 12, "policy.gold.rpo",
         "is 2h, shorter than the longest time between two slots (cron), 3d", 'write rpo = "6d"'),
        ('every = "1h"', 'cron = "0 8,12 * * *"', 12, "policy.gold.rpo",
         "shorter than the longest time between two slots (cron), 20h", 'write rpo = "40h"'),
        ('policy = "gold"', 'policy = "gld"', 9, "source.vms.policy",
         "is 'gld': there is no such policy", "the nearest is 'gold'"),
        ('rpo = "2h"', 'rpo = "2h"\nkeep = { last = 0, daily = 0 }', 13, "policy.gold.keep",
         "keeps nothing", "write keep = { last = 3 }"),
        ('rpo = "2h"', 'rpo = "2h"\n[policy.gold.keep]', 13, "policy.gold.keep",
         "keeps nothing", "take the table out"),
        ('rpo = "2h"', 'rpo = "2h"\nverify = { every = "40d", coverage = "30d" }', 13,
         "policy.gold.verify", "covers all in 30d, but looks only every 40d", 'coverage = "40d"'),
        ("[policy.gold]", ('[source.db]\ntype = "rbd"\npool = "rbd"\nimages = ["x", "*-db"]\n'
         'policy = "gold"\n[policy.gold]'), 13, "source.db.images",
         "overlaps source.vms (line 5): both match 'rbd/vm-db'", "narrow one of them"),
        ("[policy.gold]", '[source.db]\ntype = "rbd"\npool = "rbd"\npolicy = "gold"\n[policy.gold]', 10,
         "source.db.images", "both match 'rbd/vm-", "narrow one of them"),
        ("[policy.gold]", '[daemon]\nlease_pool = "x"\n[policy.gold]', 11, "daemon.lease_pool",
         'names a pool, but lease = "local" uses none', 'write lease = "rados"'),
        ("[policy.gold]", '[daemon]\nbackoff = "2m"\nbackoff_max = "1m"\n[policy.gold]', 11,
         "daemon.backoff", "is 2m, longer than the longest pause", 'write backoff = "1m"'),
        ("[policy.gold]", '[daemon]\nblackout = ["00:00-12:00", "11:00-00:00"]\n[policy.gold]', 11,
         "daemon.blackout", "leaves no minute of the day", "shorten a window"),
        ("[keys]", ('[repository.s3]\nendpoint = "https://s3"\naccess_key_file = "a"\n'
         'secret_key_file = "b"\n[repository.s3.pruner]\naccess_key_file = "a"\n'
         'secret_key_file = "b"\n[keys]'), 7, "repository.s3.pruner",
         "names who may delete in S3, but the repository is file:///srv/drd", "write an s3:// url"),
        # What loading refuses, in the same form.
        ('every = "1h"', 'cron = "0 25 * * *"', 11, "policy.gold.cron",
         "hour '25' is out of range: it goes from 0 to 23, the nearest is 23", "config/drd.toml"),
        ("[policy.gold]", '[policy.gold]\ntimezone = "Europe/Stokholm"', 11, "policy.gold.timezone",
         "is 'Europe/Stokholm', which is no time zone, the nearest is 'Europe/Stockholm'", "config"),
        ("every =", "evry =", 11, "policy.gold.evry", "is an unknown key, the nearest known one is 'every'",
         "known here: every, cron"),
        ('rpo = "2h"', "rpo = 2h", 12, "", "is no TOML", "see config/drd.toml"),
    ],
)  # fmt: skip
def test_what_is_refused(  # noqa: PLR0917 - a row of the table
    old: str, new: str, line: int, key: str, message: str, hint: str
) -> None:
    assert old in GOOD
    fault = only(GOOD.replace(old, new, 1))
    assert (fault.line, fault.key) == (line, key)
    assert message in fault.message
    assert hint in fault.hint


def test_leases_on_rados_need_a_cluster() -> None:
    text = GOOD.replace(
        'type = "rbd"\npool = "rbd"\nimages = ["vm-*"]', 'type = "device"\npaths = ["/a"]'
    )
    fault = only(text + '[daemon]\nlease = "rados"\n')
    assert (fault.line, fault.key, fault.hint) == (13, "daemon.lease", 'write lease = "local"')


def test_everything_is_told_at_once_errors_first_and_by_line() -> None:
    text = GOOD.replace('rpo = "2h"', 'rpo = "30m"\nkeep = { last = 0 }').replace(
        'gold"\n', 'old"\n'
    )
    _, found = inspect(text + "[daemon]\nworkers = 1\n", PATH)
    assert [(one.level, one.line) for one in found] == [
        ("error", 9),
        ("error", 12),
        ("error", 13),
        ("warning", 10),
        ("warning", 15),
    ]
    with pytest.raises(ConfigError) as caught:
        refuse(found)
    for part in (
        "line 9: source.vms.policy",
        "line 12: policy.gold.rpo",
        "line 13: policy.gold.keep",
    ):
        assert part in caught.value.message
    assert "workers" not in caught.value.message
    assert caught.value.about == str(PATH)
    assert [one.key for one in refuse(found[3:])] == ["policy.gold", "daemon.workers"]


def test_an_error_has_a_hint_even_where_no_fault_has() -> None:
    told = as_error([Fault("error", "f", 0, "", "is wrong")], "f")
    assert (told.message, told.hint) == ("the file is wrong", "config/drd.toml explains every key")


# ── warnings ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "old,new,line,key,message",
    [
        ('policy = "gold"\n', 'policy = "gold"\n[policy.odd]\nevery = "1h"\nrpo = "2h"\n', 10, "policy.odd",
         "is named by no source: only images whose metadata"),
        ('every = "1h"\nrpo = "2h"\n', "", 10, "policy.gold", "has neither every nor cron"),
        ('rpo = "2h"\n', "", 10, "policy.gold", "has no rpo"),
        ('rpo = "2h"', 'rpo = "1h"', 12, "policy.gold.rpo", "is 1h, as long as the interval"),
        ('rpo = "2h"', 'rpo = "2h"\nspread = "2h"', 13, "policy.gold.spread", "longer than the interval"),
        ('every = "1h"\nrpo = "2h"',
         'cron = "30 2 * * *"\nrpo = "1470m"\ntimezone = "Europe/Malta"',
         12, "policy.gold.rpo", "where clocks change (as on 2026-10-2"),
        ("[policy.gold]", "[daemon]\nworkers = 1\n[policy.gold]", 11, "daemon.workers", "delays all"),
        ("[policy.gold]", '[daemon]\nmetrics = ""\n[policy.gold]', 11, "daemon.metrics", "is empty"),
        ("[policy.gold]", '[daemon]\nlease = "rados"\nlease_ttl = "15m"\n[policy.gold]', 12,
         "daemon.lease_ttl", "is 15m, no less than stall_after (15m)"),
        ("[policy.gold]", '[daemon]\nblackout = ["22:00-00:30"]\n[policy.gold]', 11, "daemon.blackout",
         "holds runs of policy.gold back, so that 210m can lie between two"),
        ("[policy.gold]", '[prune]\ngrace = "1h"\n[policy.gold]', 11, "prune.grace", "is 1h"),
        ("[keys]", ('[repository.s3]\nendpoint = "https://s3"\naccess_key_file = "a"\n'
         'secret_key_file = "b"\n[keys]'), 3, "repository.s3", "is not used"),
    ],
)  # fmt: skip
def test_what_is_probably_not_meant(  # noqa: PLR0917 - a row of the table
    old: str, new: str, line: int, key: str, message: str
) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    assert not faults(text)
    fault = only(text, "warning")
    assert (fault.line, fault.key) == (line, key)
    assert message in fault.message


def test_a_blackout_counts_for_cron_lines_only_where_slots_fall_into_it() -> None:
    text = GOOD.replace('every = "1h"', 'cron = "0 * * * *"').replace('"2h"', '"90m"')
    told = only(text + '[daemon]\nblackout = ["22:30-23:45"]\n', "warning")
    assert (told.line, told.key) == (14, "daemon.blackout")
    assert "so that 105m can lie between two, more than its rpo of 90m" in told.message
    assert told.hint == 'shorten the window, or write rpo = "135m"'
    assert inspect(text + '[daemon]\nblackout = ["22:10-22:50"]\n', PATH)[1] == []
    without = text.replace('rpo = "90m"\n', "") + '[daemon]\nblackout = ["22:30-23:45"]\n'
    assert [one.key for one in inspect(without, PATH)[1]] == ["policy.gold"]


def test_a_zone_without_changes_lengthens_nothing() -> None:
    text = GOOD.replace('every = "1h"', 'cron = "30 2 * * *"').replace('"2h"', '"1500m"')
    assert inspect(text, PATH)[1] == []
    assert inspect(text + 'timezone = "Europe/Malta"\n', PATH)[1] == []


def test_a_policy_where_there_is_none() -> None:
    fault = only(GOOD[: GOOD.index("[policy.gold]")])
    assert (fault.line, fault.hint) == (9, "there is none at all: write [policy.gold]")
    bare = GOOD[: GOOD.index('policy = "gold"')]
    assert faults(bare, "warning")[0].hint == "write a [policy.NAME], and name it here"


def test_a_source_without_a_policy_and_a_file_without_a_source() -> None:
    told = faults(GOOD.replace('policy = "gold"\n', ""), "warning")
    assert [(one.line, one.key) for one in told] == [(5, "source.vms"), (9, "policy.gold")]
    assert "but images whose metadata" in told[0].message
    nothing = GOOD[: GOOD.index("[source.vms]")]
    assert [one.key for one in faults(nothing, "warning")] == ["source"]


# ── overlaps ────────────────────────────────────────────────────────────────────────────────────
SECOND = '[source.two]\ntype = "rbd"\npolicy = "gold"\n'


@pytest.mark.parametrize(
    "second,overlaps",
    [
        ('pool = "rbd"\nimages = ["db-*"]', ""),
        ('pool = "ssd"\nimages = ["vm-*"]', ""),
        ('pool = "rbd"\nimages = ["vm-*"]\nceph_conf = "/etc/ceph/b.conf"', ""),
        ('pool = "rbd"\nimages = ["vm-*"]\nnamespaces = ["tenant-*"]', ""),
        ('pool = "rbd"\nimages = ["vm-7"]\nclient = "client.other"', "'rbd/vm-7'"),
        ('pool = "rbd"\nimages = ["*"]\nnamespaces = ["*"]', "'rbd/vm-'"),
        ('pool = "rbd"\nimages = ["[!v]*", "v[!m]*"]', ""),
    ],
)
def test_sources_of_one_pool(second: str, overlaps: str) -> None:
    told = faults(f"{GOOD}{SECOND}{second}\n")
    assert len(told) == bool(overlaps)
    assert not told or overlaps in told[0].message


def test_namespaces_overlap_as_names_do() -> None:
    first = GOOD.replace('images = ["vm-*"]', 'images = ["vm-*"]\nnamespaces = ["a*"]')
    assert "'rbd/ab/vm-" in only(f'{first}{SECOND}pool = "rbd"\nnamespaces = ["*b"]\n').message
    assert not faults(f'{first}{SECOND}pool = "rbd"\nnamespaces = ["b*"]\n')


@pytest.mark.parametrize(
    "one,other,path",
    [
        ('"/srv/*.img"', '"/srv/a*"', "/srv/a.img"),
        ('"/srv/*.img"', '"/srv/*.raw"', ""),
        ('"/srv/*"', '"/srv/*/*"', ""),
        ('"*.img"', '"/etc/drd/a.img"', "/etc/drd/a.img"),
    ],
)
def test_sources_of_devices(one: str, other: str, path: str) -> None:
    both = "".join(
        f'[source.{name}]\ntype = "device"\npolicy = "gold"\npaths = [{paths}]\n'
        for name, paths in (("c", one), ("d", other))
    )
    told = faults(GOOD + both)
    assert [(one.key, path in one.message) for one in told] == (
        [("source.d.paths", True)] if path else []
    )


# ── gaps ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "cron,hours,at_change",
    [
        ("0 * * * *", 1, 1),
        ("0 */2 * * *", 2, 3),
        ("30 2 * * *", 24, 25),
        ("0 8-18 * * *", 14, 15),
        ("0 0,1,2,3,4,12 * * *", 12, 12),  # the night's gap is short, and stays so
        ("0 3 * * 0", 168, 169),
        ("0 12 * * 1-5", 72, 73),
    ],
)
def test_the_longest_time_between_two_slots(cron: str, hours: int, at_change: int) -> None:
    assert ordinary_gap(cron) == hours * 3600
    changed = gap_at_changes(cron, "Europe/Stockholm")
    assert changed is not None
    assert changed.seconds == at_change * 3600
    assert gap_at_changes(cron, "UTC") is None


def test_blackouts_lengthen_what_falls_into_them() -> None:
    assert gap_with_blackout("0 * * * *", "UTC", ("12:30-14:00",), "UTC") == 2 * 3600
    assert gap_with_blackout("30 2 * * *", "UTC", ("02:00-04:00",), "UTC") == 24 * 3600
    assert longest_blackout(("22:00-01:00", "00:30-02:00")) == 4 * 3600
    assert longest_blackout(()) == 0
    assert longest_blackout(("00:00-12:00", "12:00-00:00")) == 24 * 3600


@given(st.integers(1, 10**9 - 1))
def test_durations_are_written_as_they_are_read(seconds: int) -> None:
    shown = show_duration(seconds)
    assert parse_duration(shown) == seconds


def test_all_unknown_keys_are_told_at_once() -> None:
    """Those of one table, and of another; at the top of the file, too."""
    text = GOOD + 'rop = "2h"\nkepe = 3\n[daemon]\ntik = "1s"\ndrian = "1m"\n'
    assert {one.key for one in faults(text)} == {
        "policy.gold.rop",
        "policy.gold.kepe",
        "daemon.tik",
        "daemon.drian",
    }
    assert [one.key for one in faults("a = 1\nb = 2\n" + GOOD)] == ["a", "b"]


def test_no_unknown_key_hides_another_nor_what_else_is_wrong() -> None:
    """At the top, in a table, in a table inside it; each with its line and the nearest right key."""
    text = "state_dri = 1\n" + GOOD.replace("url =", "lru = 1\nurl =").replace(
        'pool = "rbd"', "pol = 1\npool = 7"
    ).replace(
        "[policy.gold]", '[policy.gold]\nkep = 1\nkeep = { dayly = 1, last = "x" }\ndrill = "x"'
    )
    told = [(one.line, one.key, one.message.rpartition(" ")[2]) for one in faults(text)]
    assert told[:4] == [
        (1, "state_dri", "'state_dir'"),
        (3, "repository.lru", "'url'"),
        (9, "source.vms.pol", "'pool'"),
        (10, "source.vms.pool", "string"),
    ]
    assert [(line, key) for line, key, _ in told[4:]] == [
        (14, "policy.gold.kep"),
        (15, "policy.gold.keep.dayly"),
        (15, "policy.gold.keep.last"),
        (16, "policy.gold.drill"),
    ]


def test_what_is_missing_because_it_is_misspelt_is_told_once() -> None:
    assert only(GOOD.replace("url =", "lru =")).key == "repository.lru"
    text = GOOD.replace('"file:///srv/drd"', '"s3://bucket"\n[repository.s4]\nregion = "x"')
    assert only(text).key == "repository.s4"
    told = faults("sauce = 1\n" + GOOD.replace("[keys]", "[kees]"))
    assert [one.key for one in told] == ["sauce", "kees"]
