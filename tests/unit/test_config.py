"""The configuration: what is meant is read, what is wrong is named with line, key and remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drd.config import (
    Config,
    DeviceSource,
    KeepCounts,
    Policy,
    RbdSource,
    Repository,
    VerifyPlan,
    load_config,
)
from drd.config.loading import check_config, key_lines
from drd.config.sections import Keys, Pack, default_state_dir
from drd.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config" / "drd.toml"
SMALL = """\
[repository]
url = "file:///srv/drd"
[keys]
file = "repository.key"
"""
ISSUE = """\
[repository]
url = "s3://drd/site-a"            # or "file:///srv/drd"
[repository.s3]
endpoint = "https://s3.eu-north-2.example"
region = "eu-north-2"
access_key_file = "/etc/drd/s3.access"
secret_key_file = "/etc/drd/s3.secret"
[keys]
file = "/etc/drd/repository.key"
recovery = ["age17e0xhaetcjtplt6lr554rzuy74s65qxjgg9a4pnjruhucwfkmp0qntwskl"]
[source.vms]
type = "rbd"
ceph_conf = "/etc/ceph/ceph.conf"
client = "client.admin"
pool = "rbd"
images = ["vm-*"]
policy = "gold"
[source.disks]
type = "device"
paths = ["/srv/images/*.img"]
"""
Load = Callable[[str], Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write_and_load(text: str) -> Config:
        path = tmp_path / "drd.toml"
        path.write_text(text)
        return load_config(path)

    return write_and_load


def fault(load: Load, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert caught.value.about.endswith("drd.toml")
    assert caught.value.exit_code == 2
    return caught.value


# ── what is meant ───────────────────────────────────────────────────────────────────────────────
def test_the_file_of_the_contract(load: Load) -> None:
    config = load(ISSUE)
    assert config.repository.url == "s3://drd/site-a"
    assert config.repository.s3 is not None
    assert config.repository.s3.transfers == 8
    vms = config.source["vms"]
    assert isinstance(vms, RbdSource)
    assert (vms.images, vms.namespaces, vms.reads_in_flight) == (("vm-*",), ("",), 16)
    disks = config.source["disks"]
    assert isinstance(disks, DeviceSource)
    assert disks.paths == (Path("/srv/images/*.img"),)
    assert not disks.quiesced


def test_the_smallest_file(load: Load) -> None:
    config = load(SMALL)
    assert config.source == {}
    assert config.repository.url == "file:///srv/drd"
    assert config.pack == Pack(zstd_level=1, frame_size=262144, pack_size=33554432, workers=None)


def test_relative_paths_are_taken_from_the_folder_of_the_file(load: Load, tmp_path: Path) -> None:
    text = ISSUE.replace('"/etc/drd/', '"keys/').replace("/srv/images/", "images/")
    config = load('state_dir = "state"\n' + text)
    assert config.state_dir == tmp_path / "state"
    assert config.keys.file == tmp_path / "keys/repository.key"
    assert config.repository.s3 is not None
    assert config.repository.s3.access_key_file == tmp_path / "keys/s3.access"
    disks = config.source["disks"]
    assert isinstance(disks, DeviceSource)
    assert disks.paths == (tmp_path / "images/*.img",)


def test_it_is_frozen_all_through(load: Load) -> None:
    config = load(ISSUE)
    for section, name in ((config, "state_dir"), (config.pack, "workers"), (config.keys, "file")):
        with pytest.raises(ValidationError):
            setattr(section, name, None)


def test_values_can_be_given_without_a_file() -> None:
    config = Config(
        repository=Repository(url="file:///srv/a%20b"),
        keys=Keys(file=Path("/k")),
        source={"disks": DeviceSource(type="device", paths=(Path("/x"),))},
        state_dir=Path("/s"),
    )
    assert config.repository.url == "file:///srv/a%20b"
    assert check_config({"repository": {"url": "file:///s"}, "keys": {"file": "/k"}}).source == {}


@pytest.mark.parametrize(
    "written, size",
    [("65536", 65536), ('"64 KiB"', 65536), ('"1MiB"', 1048576), ("1048576", 1048576)],
)
def test_sizes(load: Load, written: str, size: int) -> None:
    assert load(SMALL + f"[pack]\nframe_size = {written}\n").pack.frame_size == size


def test_policies_are_read(load: Load) -> None:
    policy = 'every = "15m"\nrpo = "30s"\nrto = "4h"\nlock = "2w"\ndrill = "10d"\n'
    config = load(SMALL + "[policy.gold]\n" + policy + "keep = {hourly = 24, minimum = 3}\n")
    assert config.policy["gold"] == Policy(
        every=900,
        rpo=30,
        rto=14400,
        lock=1209600,
        drill=864000,
        keep=KeepCounts(hourly=24, minimum=3),
    )


def test_the_first_form_of_verify_is_how_often(load: Load) -> None:
    config = load(SMALL + '[policy.gold]\nverify = "2d"\n')
    assert config.policy["gold"].verify == VerifyPlan(level=2, every=2 * 86400, coverage=30 * 86400)


def test_the_issue_names_these_keys(load: Load) -> None:
    text = (
        SMALL
        + """
[daemon]
metrics = "127.0.0.1:9750"
workers = 2
lease = "rados"
lease_ttl = "60s"
blackout = ["22:00-23:00"]
[policy.gold]
cron = "15 * * * *"
timezone = "Europe/Stockholm"
rpo = "2h"
keep = { last = 3, hourly = 24, daily = 7, weekly = 5, monthly = 12, yearly = 3 }
min_points = 2
verify = { level = 2, every = "1d", coverage = "30d" }
limits = { bytes_per_s = "200MiB" }
"""
    )
    config = load(text)
    policy, daemon = config.policy["gold"], config.daemon
    assert (daemon.lease, daemon.lease_ttl, daemon.blackout) == ("rados", 60, ("22:00-23:00",))
    assert policy.limits is not None
    assert policy.limits.bytes_per_s == 200 * 1024 * 1024
    assert policy.min_points == 2


# ── what is wrong ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "old, new, where, near",
    [
        ("[repository]", "[repo]", "line 1: repo", "repository"),
        ("url =", "uri =", "line 2: repository.uri", "url"),
        ("region", "reggion", "line 5: repository.s3.reggion", "region"),
        ("recovery", "recover", "line 10: keys.recover", "recovery"),
        ("pool", "pools", "line 15: source.vms.pools", "pool"),
        ("paths", "path", "line 20: source.disks.path", "paths"),
    ],
)
def test_an_unknown_key_names_the_nearest(
    load: Load, *, old: str, new: str, where: str, near: str
) -> None:
    told = fault(load, ISSUE.replace(old, new)).message
    assert f"{where} is an unknown key, the nearest known one is '{near}'" in told


def test_an_unknown_key_lists_the_known_ones(load: Load) -> None:
    assert "type, paths, quiesced, policy" in fault(load, ISSUE.replace("paths", "path")).hint


@pytest.mark.parametrize("key", ["_env_file", "_cli_parse_args", "__init__", "_secrets_dir"])
def test_no_key_reaches_the_library_that_reads_the_file(load: Load, key: str) -> None:
    assert f"line 1: {key} is an unknown key" in fault(load, f'{key} = "x"\n{SMALL}').message


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("s3://drd/site-a", "https://drd", "line 2: repository.url is wrong"),
        ("s3://drd/site-a", "s3://", "not a name for a bucket"),
        ("s3://drd/site-a", "s3://d", "not a name for a bucket"),
        ("s3://drd/site-a", "s3://My_Bucket", "not a name for a bucket"),
        ("s3://drd/site-a", "s3://drd/../x", "prefix"),
        ("s3://drd/site-a", "s3://drd/a//b", "prefix"),
        ("s3://drd/site-a", "s3://drd/a b", "prefix"),
        ("s3://drd/site-a", "s3://key:word@drd/a", "credentials stand in their own files"),
        ("s3://drd/site-a", "file://srv/drd", "write file:///srv/drd"),
        ("s3://drd/site-a", "file:srv/drd", "no scheme"),
        ("s3://drd/site-a", "file:///srv/a#b", "%23"),
        ("s3://drd/site-a", "file:///srv/a%00b", "without detours"),
        ("s3://drd/site-a", "s3://[x", "not a name for a bucket"),
        ("https://s3.eu-north-2.example", "s3.example", "line 4: repository.s3.endpoint is no address"),
        ("https://s3.eu-north-2.example", "ftp://s3.example", "is no address"),
        ("https://s3.eu-north-2.example", "https://s3.example/path", "is no address"),
        ("https://s3.eu-north-2.example", "https://a:b@s3.example", "user or a password"),
        ("https://s3.eu-north-2.example", "https://s3.example:x", "is no address"),
        ("https://s3.eu-north-2.example", "https://s3.example:0", "port 0"),
        ('access_key_file = "/etc/drd/s3.access"', "", "needs exactly one of access_key_file"),
        ('region = "eu-north-2"', 'secret_key_env = "X"', "names secret_key_file and secret_key_env"),
        ('access_key_file = "/etc/drd/s3.access"', 'access_key_env = ""', "empty access_key_env"),
        ('region = "eu-north-2"', "transfers = 17", "line 5: repository.s3.transfers is wrong"),
        ('region = "eu-north-2"', "transfers = 3", "greater than or equal to 4"),
        ('region = "eu-north-2"', 'transfers = "8"', "should be a whole number"),
        ('region = "eu-north-2"', "transfers = true", "should be a whole number"),
        ('region = "eu-north-2"', "region = 5", "region is wrong: it should be a string"),
        ('region = "eu-north-2"', "connect_timeout_s = 0", "greater than 0"),
        ('file = "/etc/drd/repository.key"', "", "line 8: keys.file is missing"),
        ('file = "/etc/drd/repository.key"', "file = 7", "keys.file is wrong: it should be a string"),
        ('file = "/etc/drd/repository.key"', 'file = ""', "keys.file is no path"),
        ("age17e", "age1bb", "line 10: keys.recovery holds 'age1bb"),
        ('"]\n[source.vms]', '", 5]\n[source.vms]', "it should be a list of strings, all of"),
        ("[source.vms]", "[source.VMs]", "line 11: source.VMs is no name: use a-z"),
        ("[source.vms]", '[source."v m"]', "source.v m is no name"),
        ('type = "rbd"', "", "line 11: source.vms.type is missing: it is one of rbd, device"),
        ('type = "rbd"', 'type = "rdb"', "line 12: source.vms.type is 'rdb', which is no type"),
        ('pool = "rbd"', "", "line 11: source.vms.pool is missing"),
        ('pool = "rbd"', 'pool = ""', "source.vms.pool is wrong"),
        ("client.admin", "admin", "write client.NAME, not 'admin'"),
        ('["vm-*"]', "[]", "line 16: source.vms.images needs at least one entry"),
        ('["vm-*"]', '["a", "b", "a"]', "names 'a' twice"),
        ('["vm-*"]', '"vm-*"', "source.vms.images is wrong: it should be a list of strings"),
        ('policy = "gold"', 'policy = "Gold"', "source.vms.policy is no name"),
        ('policy = "gold"', 'quiesced = "no"', "source.vms.quiesced is an unknown key"),
        ('type = "device"', 'type = "device"\nquiesced = "no"', "should be true or false"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_line(load: Load, old: str, new: str, told: str) -> None:
    assert old in ISSUE
    assert told in fault(load, ISSUE.replace(old, new, 1)).message


@pytest.mark.parametrize(
    "text, told",
    [
        ("[pack]\nzstd_level = 20", "less than or equal to 19"),
        ("[pack]\nzstd_level = -6", "greater than or equal to -5"),
        ("[pack]\nframe_size = 100000", "multiple of 65536"),
        ('[pack]\nframe_size = "2 MiB"', "less than or equal to 1048576"),
        ('[pack]\nframe_size = "256 kb"', "is no size"),
        ('[pack]\npack_size = "65 MiB"', "less than or equal to 67108864"),
        ('[pack]\nrefill = "no"', "pack.refill is wrong: it should be true or false"),
        ("[pack]\nworkers = 0", "greater than or equal to 1"),
        ('[policy.gold]\nevery = "1 hour"', "is no duration"),
        ('[policy.gold]\nevery = "0h"', "greater than 0"),
        ('[policy.gold]\nrpo = "5219w"', "is too long: at most a century, 5217w"),
        ("[prune]\ngrace = 99999999999999999999", "is too long"),
        ("[policy.gold]\nevery = -60", "greater than 0"),
        ("[policy.gold.keep]\ndayly = 1", "policy.gold.keep.dayly is an unknown key"),
        ("[policy.gold.keep]\ndaily = -2", "greater than or equal to -1"),
        ("[policy]\ngold = 5", "policy.gold is wrong"),
        ("[policy]\ngold = 5", "it should be a table"),
        ("[source]\nx = 5", "source.x is wrong: it should be a table"),
        ('[source.x]\ntype = "device"\npaths = "a"', "paths is wrong: it should be a list of strings"),
        ('[source.x]\ntype = "device"\npaths = [5]', "it should be a list of strings, all of them"),
        ('[policy.gold]\ntimezone = "Europe/Stokholm"', "nearest is 'Europe/Stockholm'"),
        ('[policy.gold.limits]\nbytes_per_s = "1 KiB"', "greater than or equal to 65536"),
        ("[policy.gold.verify]\nlevel = 3", "input should be 0, 1, 2 or 4"),
        ('[daemon]\nmetrics = "9750"', "write HOST:PORT"),
        ('[daemon]\nmetrics = "127.0.0.1:65536"', "write HOST:PORT"),
        ('[daemon]\nmetrics = "::1:9750"', "or [::1]:9750"),
        ('[daemon]\nmetrics = "[::1:9750"', "write HOST:PORT"),
        ('[daemon]\nmetrics = "[127.0.0.1]:9750"', "write HOST:PORT"),
        ('[daemon]\nblackout = ["22-23"]', "which is no window of the day"),
        ('[daemon]\nblackout = ["22:00-22:00"]', "which is no window of the day"),
        ("[daemon]\nworkers = 0", "greater than or equal to 1"),
        ('[daemon]\nlease = "etcd"', "daemon.lease is wrong"),
        ('[policy.gold]\ncron = "nope"', "policy.gold.cron is no cron line"),
        ('[policy.gold]\ncron = "61 * * * *"', "minute '61' is out of range: it goes from 0 to 59"),
        ("[policy.gold]\ncron = 5", "policy.gold.cron is wrong: it should be a string"),
        ('[policy.gold]\ncron = "0 * * * *"\nevery = "1h"', "policy.gold names both every and cron"),
    ],
)  # fmt: skip
def test_other_wrong_values(load: Load, text: str, told: str) -> None:
    assert told in fault(load, SMALL + text).message


@pytest.mark.parametrize("value", ["5", '["a"]', "true"])
def test_a_path_is_a_string_and_no_class_of_pythons_is_named(load: Load, value: str) -> None:
    told = fault(load, f"state_dir = {value}\n{SMALL}").message
    assert told == "line 1: state_dir is wrong: it should be a string"


def test_a_cron_line_costs_its_reader_only_where_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "drd.toml"
    program = (
        "import sys; from pathlib import Path; from drd.config import load_config\n"
        "config = load_config(Path(sys.argv[1]))\n"
        "print('drd.core.crontab' in sys.modules, [one.cron for one in config.policy.values()])"
    )
    for policy, printed in (
        ('every = "1h"', "False [None]\n"),
        ('cron = "0 * * * mon-fri"', "True ['0 * * * mon-fri']\n"),
    ):
        path.write_text(f"{SMALL}[policy.gold]\n{policy}\n")
        command = [sys.executable, "-c", program, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout == printed


def test_s3_needs_its_table(load: Load) -> None:
    assert "[repository.s3]" in fault(load, SMALL.replace("file:///srv/drd", "s3://drd")).message


def test_all_faults_are_told_at_once(load: Load) -> None:
    told = fault(load, ISSUE.replace("pool", "pol").replace("region", "regio")).message
    assert "source.vms.pol" in told
    assert "repository.s3.regio" in told


def test_no_message_shows_a_secret_that_stands_in_a_wrong_place(load: Load) -> None:
    secret = "AGE-SECRET-KEY-1Q2WXZX4LDLVLYEZLN3GMV3AUYGNGENS5"
    for text in (
        ISSUE.replace("age17e0x", secret + "age17e0x"),
        ISSUE.replace('secret_key_file = "', f'secret_key = "{secret}'),
        ISSUE.replace('secret_key_file = "', f'secret_key_file = 5 # "{secret}'),
    ):
        error = fault(load, text)
        assert secret not in f"{error} {error.hint} {error.__cause__}"


def test_what_is_no_toml_says_where(load: Load) -> None:
    assert "at line 2, column" in fault(load, "[repository]\nurl = \n").message


def test_an_empty_file_says_what_is_missing(load: Load) -> None:
    assert fault(load, "").message == "repository is missing; keys is missing"


def test_lines_of_keys() -> None:
    text = """\
top = 1
"quoted key" = 2
a.b = 3   # twice:
a.b = 4
[ table . "x y" ]  # comment
inner = [
  "not = a key",
  bad " quote = 5,
]
[[list]]
one = 1
"""
    assert dict(key_lines(text)) == {
        ("top",): 1,
        ("quoted key",): 2,
        ("a", "b"): 3,
        ("table", "x y"): 5,
        ("table", "x y", "inner"): 6,
        ("list",): 10,
        ("list", "one"): 11,
    }


@given(st.text(max_size=60))
def test_any_text_has_lines(text: str) -> None:
    lines = dict(key_lines(text))
    assert all(0 < line <= len(text.splitlines()) for line in lines.values())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["repository", "keys", "source", "policy", "pack", "state_dir", "odd"]),
)  # fmt: skip
def test_any_value_anywhere_gives_only_a_configuration_error(value: Any, key: str) -> None:
    data = {"repository": {"url": "file:///s"}, "keys": {"file": "/k"}, key: value}
    try:
        config = check_config(data)
    except ConfigError as error:
        assert error.message  # noqa: PT017 - both ends are fine, others are not
    else:
        assert isinstance(config, Config)


# ── the file itself ─────────────────────────────────────────────────────────────────────────────
def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration here") as caught:
        load_config(tmp_path / "drd.toml")
    assert "--config" in caught.value.hint


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "latin").write_bytes(b"\xe4")
    (tmp_path / "large").write_bytes(b"#" * (1 << 21))
    for name in ("loop", ".", "latin", "large"):
        with pytest.raises(ConfigError):
            load_config(tmp_path / name)


# ── the environment ─────────────────────────────────────────────────────────────────────────────
def test_the_environment_overrides_nothing(tmp_path: Path) -> None:
    (tmp_path / "drd.toml").write_text('state_dir = "/state"\n' + SMALL)
    (tmp_path / ".env").write_text("state_dir=/from-dotenv\nSTATE_DIR=/from-dotenv\n")
    code = (
        "from pathlib import Path; from drd.config import load_config;"
        "c = load_config(Path('drd.toml')); print(c.state_dir, c.repository.url, c.pack.zstd_level)"
    )
    loud = {"STATE_DIR": "/env", "state_dir": "/env", "PACK": '{"zstd_level": 9}', "SOURCE": "x"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, **loud, "REPOSITORY": '{"url": "file:///env"}'},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["/state", "file:///srv/drd", "1"]


@pytest.mark.parametrize(
    "user, environment, folder",
    [
        (0, {"XDG_STATE_HOME": "/x", "HOME": "/root"}, "/var/lib/drd"),
        (7, {"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/drd"),
        (7, {"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/drd"),
        (7, {"HOME": "/h"}, "/h/.local/state/drd"),
        (7, {}, "/.local/state/drd"),
    ],
)
def test_where_state_lies(user: int, environment: dict[str, str], folder: str) -> None:
    assert default_state_dir(user, environment) == Path(folder)


def test_the_default_of_state_dir_is_of_this_user(load: Load) -> None:
    assert load(SMALL).state_dir == default_state_dir(os.geteuid(), os.environ)
