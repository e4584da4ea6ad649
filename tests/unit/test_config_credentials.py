"""Secrets that the configuration names: read from three places, shown in none."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from drd.config import S3, Keys, key_credential, read_credentials
from drd.config.credentials import MAX_BYTES
from drd.errors import ConfigError

ENDPOINT = "https://s3.example"


def test_from_files(tmp_path: Path) -> None:
    (tmp_path / "access").write_text("AKIA\n")
    (tmp_path / "secret").write_text("  s3cr3t/+=  \r\n")
    s3 = S3(
        endpoint=ENDPOINT,
        access_key_file=tmp_path / "access",
        secret_key_file=tmp_path / "secret",
    )
    found = read_credentials(s3, {})
    assert (found.access_key, found.secret_key) == ("AKIA", "s3cr3t/+=")
    assert "s3cr3t" not in repr(found)


def test_a_token_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken/+==\n")
    environment = {"ACCESS": "AKIA", "SECRET": "s3cr3t"}
    s3 = S3(endpoint=ENDPOINT, access_key_env="ACCESS", secret_key_env="SECRET")
    found = read_credentials(s3, environment)
    assert found.session_token == ""
    named = s3.model_copy(update={"session_token_file": tmp_path / "token"})
    found = read_credentials(named, environment)
    assert found.session_token == "t0ken/+=="
    assert "t0ken" not in repr(found)


def test_a_token_has_one_place_or_none() -> None:
    with pytest.raises(ValueError, match="exactly one of session_token_file"):
        S3(
            endpoint=ENDPOINT,
            access_key_env="ACCESS",
            secret_key_env="SECRET",
            session_token_env="A",
            session_token_credential="B",
        )


def test_from_the_environment_and_from_systemd(tmp_path: Path) -> None:
    (tmp_path / "s3.secret").write_text("s3cr3t")
    s3 = S3(endpoint=ENDPOINT, access_key_env="ACCESS", secret_key_credential="s3.secret")
    found = read_credentials(s3, {"ACCESS": "AKIA", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (found.access_key, found.secret_key) == ("AKIA", "s3cr3t")


@pytest.mark.parametrize(
    "environment, told",
    [
        ({}, "ACCESS is not set"),
        ({"ACCESS": ""}, "ACCESS of a secret is empty"),
        ({"ACCESS": "a b"}, "more than one word"),
        ({"ACCESS": "a\x00b"}, "more than one word"),
        ({"ACCESS": "a"}, "CREDENTIALS_DIRECTORY is not set"),
        ({"ACCESS": "a", "CREDENTIALS_DIRECTORY": ""}, "CREDENTIALS_DIRECTORY is not set"),
        ({"ACCESS": "a", "CREDENTIALS_DIRECTORY": "/nowhere"}, "no such file"),
    ],
)
def test_what_is_not_there(environment: dict[str, str], told: str) -> None:
    s3 = S3(endpoint=ENDPOINT, access_key_env="ACCESS", secret_key_credential="s3.secret")
    with pytest.raises(ConfigError, match=told) as caught:
        read_credentials(s3, environment)
    assert caught.value.exit_code == 2
    assert caught.value.about


@pytest.mark.parametrize("name", ["../secret", "a/b", "..", ".", "/etc/shadow"])
def test_a_credential_is_a_name_and_no_path(tmp_path: Path, name: str) -> None:
    s3 = S3(endpoint=ENDPOINT, access_key_env="ACCESS", secret_key_credential=name)
    with pytest.raises(ConfigError, match="no name of a credential"):
        read_credentials(s3, {"ACCESS": "a", "CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "words").write_text("one two\n")
    (tmp_path / "lines").write_text("one\ntwo\n")
    (tmp_path / "bytes").write_bytes(b"hidden\xff")
    (tmp_path / "large").write_text("x " * MAX_BYTES)
    os.mkfifo(tmp_path / "pipe")
    broken = Path("/proc/self/mem")  # a plain file whose first byte cannot be read (EIO)
    names = (
        broken,
        "loop",
        "empty",
        "words",
        "lines",
        "bytes",
        "large",
        "pipe",
        "missing",
        ".",
        "a\0b",
    )
    for name in names:
        s3 = S3(endpoint=ENDPOINT, access_key_env="ACCESS", secret_key_file=tmp_path / name)
        with pytest.raises(ConfigError) as caught:
            read_credentials(s3, {"ACCESS": "a"})
        assert caught.value.exit_code == 2
        told = "".join(traceback.format_exception(caught.value, chain=True))
        assert "hidden" not in told


# ── one configuration for the unit and for the command line ────────────────────────────────────
def test_a_credential_goes_before_the_file_beside_it_in_a_unit(tmp_path: Path) -> None:
    (tmp_path / "s3.secret").write_text("on-disk")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "drd_s3.secret").write_text("given")
    s3 = S3(
        endpoint=ENDPOINT,
        access_key_env="ACCESS",
        secret_key_file=tmp_path / "s3.secret",
        secret_key_credential="drd_s3.secret",
    )
    unit = {"ACCESS": "a", "CREDENTIALS_DIRECTORY": str(tmp_path / "given")}
    assert read_credentials(s3, unit).secret_key == "given"
    assert read_credentials(s3, {"ACCESS": "a"}).secret_key == "on-disk"
    (tmp_path / "given" / "drd_s3.secret").unlink()
    with pytest.raises(ConfigError, match="no such file"):
        read_credentials(s3, unit)


def test_an_empty_name_beside_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty secret_key_credential"):
        S3(
            endpoint=ENDPOINT,
            access_key_env="ACCESS",
            secret_key_file=tmp_path,
            secret_key_credential="",
        )


def test_the_key_file_is_a_credential_in_a_unit_alone(tmp_path: Path) -> None:
    keys = Keys(file=Path("/etc/drd/repository.key"), file_credential="drd_repository.key")
    unit = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert key_credential(keys, unit) == tmp_path / "drd_repository.key"
    assert key_credential(keys, {}) is None
    assert key_credential(Keys(file=Path("k")), unit) is None
    with pytest.raises(ConfigError, match="no name of a credential"):
        key_credential(Keys(file=Path("k"), file_credential="../k"), unit)
