"""What ``drctl verify --rotate`` wants of an image is what the daemon wants of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from drd.cli.recording import Plans, Wish
from drd.config import Config, load_config
from drd.errors import NotFoundError, UsageError
from drd.model import PointInfo
from drd.wiring.pruning import policy_of
from tests.unit.work.points import info

CONFIG = """
state_dir = "{folder}"
[repository]
url = "file://{folder}/bucket"
[keys]
file = "{folder}/key"
[source.vms]
type = "rbd"
pool = "vms"
policy = "gold"
[policy.gold]
every = "1h"
verify = {{ level = 2, every = "1d", coverage = "30d" }}
[policy.slow]
every = "1h"
verify = {{ level = 1, every = "7d", coverage = "60d" }}
[policy.counted]
every = "1h"
verify = {{ level = 0, every = "1d" }}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "drd.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return load_config(path)


def image(named: str = "") -> PointInfo:
    """A point of an image of the source; *named* is the policy that its metadata names."""
    metadata = {"drd.policy": named} if named else {}
    return info(1, facts={"source": "vms", "image": {"metadata": metadata}})


def plans(config: Config, policy: str = "") -> Plans:
    return Plans(Wish(None, rotate=True, policy=policy), config)


@pytest.mark.parametrize("named, level, days", [("", 2, 30), ("slow", 1, 60), ("gold", 2, 30)])
def test_the_policy_that_an_image_names_goes_before_that_of_its_source(
    config: Config, named: str, level: int, days: int
) -> None:
    got, rotation = plans(config).of(image(named))
    assert rotation is not None
    assert (got, rotation.coverage) == (level, timedelta(days=days))
    wanted = config.policy[policy_of(config, [image(named)])].verify
    assert wanted is not None
    assert (wanted.level, wanted.every) == (got, rotation.every.total_seconds()), "as the daemon"


def test_the_command_line_goes_before_both(config: Config) -> None:
    assert plans(config, "gold").of(image("slow"))[0] == 2


def test_a_level_without_turns_is_an_error_of_who_named_the_image_alone(config: Config) -> None:
    assert plans(config).of(image("counted"), named=False) == (0, None)
    with pytest.raises(UsageError, match="level is 0"):
        plans(config).of(image("counted"))


def test_an_image_that_names_no_policy_of_ours_is_told(config: Config) -> None:
    with pytest.raises(NotFoundError) as caught:
        plans(config).of(image("glod"), named=False)
    assert "'gold'" in caught.value.hint
