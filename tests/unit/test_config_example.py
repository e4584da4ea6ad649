"""``config/drd.toml``: it is right, it is whole, and what it comments out is the default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from drd.config import (
    S3,
    Config,
    Daemon,
    DeviceSource,
    KeepCounts,
    Limits,
    Policy,
    Prune,
    RbdSource,
    Repository,
    VerifyPlan,
    load_config,
)
from drd.config.sections import Keys, Pack

EXAMPLE = Path(__file__).parents[2] / "config" / "drd.toml"


def test_the_example_is_right() -> None:
    config = load_config(EXAMPLE)
    assert set(config.source) == {"vms", "disks"}
    assert set(config.policy) == {"gold"}


def test_the_example_is_right_with_every_key_that_it_comments_out(tmp_path: Path) -> None:
    text = re.sub(r"^# ([a-z_]+ = )", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    # Of three places for a key one may be named; and the recipient there is none.
    text = re.sub(
        r"^(access_key|secret_key|session_token)_(env|credential) = .*\n",
        "",
        text,
        flags=re.MULTILINE,
    )
    text = text.replace('recovery = ["age1..."]', "recovery = []")
    (tmp_path / "drd.toml").write_text(text)
    shown, whole = load_config(EXAMPLE), load_config(tmp_path / "drd.toml")
    # What stands there commented out is the default, but for what has none to show.
    free = {"ca_bundle", "keyring", "workers", "policy", "state_dir", "session_token_file"}
    free |= {"spread", "limits", "textfile", "lease_pool", "blackout", "pruner", "file_credential"}
    assert _differences(shown, whole) <= free


def _differences(one: BaseModel, other: BaseModel) -> set[str]:
    found: set[str] = set()
    for name in type(one).model_fields:
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, dict):
            assert list(left) == list(right)
            for key in left:
                found |= _differences(left[key], right[key])
        elif isinstance(left, BaseModel):
            found |= _differences(left, right)
        elif left != right:
            found.add(name)
    return found


@pytest.mark.parametrize(
    "section",
    [
        Config,
        Repository,
        S3,
        Keys,
        RbdSource,
        DeviceSource,
        Pack,
        Policy,
        KeepCounts,
        Daemon,
        Prune,
        Limits,
        VerifyPlan,
    ],
)
def test_the_example_explains_every_key(section: type[BaseModel]) -> None:
    text = EXAMPLE.read_text()
    for name in section.model_fields:
        assert re.search(
            rf"(^|# |or |\{{ |, ){name} = |^(?:# )?\[({name}|.*\.{name}|{name}\..*)\]",
            text,
            re.MULTILINE,
        )
