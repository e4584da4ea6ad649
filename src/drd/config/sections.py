"""The tables of the configuration file. ``config/drd.toml`` explains each key to its reader.

Everything is strict: no text becomes a number, no number a switch, no unknown key is passed over.
Nothing is read from the environment but the default of ``state_dir``.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from drd.config.values import (
    KIB,
    MIB,
    Client,
    Cron,
    Duration,
    Endpoint,
    FilePath,
    FilePaths,
    Name,
    Recipients,
    Size,
    Texts,
    Url,
)
from drd.core.address import S3Address, parse_address

UNKNOWN_KEY: Final = "unknown_key"
SYSTEM_STATE: Final = Path("/var/lib/drd")


def refuse_unknown(cls: type[BaseModel], data: object) -> object:
    """Refuse keys that a table does not have, and name the nearest that it has.

    Raises:
        PydanticCustomError: of type ``UNKNOWN_KEY``; its context has ``key``, ``near``, ``known``.
    """
    for key in data if isinstance(data, Mapping) else ():
        if key not in cls.model_fields:
            known = list(cls.model_fields)
            near = difflib.get_close_matches(str(key), known, 1, cutoff=0.0)[0]
            raise PydanticCustomError(
                UNKNOWN_KEY,
                "is an unknown key, the nearest known one is '{near}'",
                {"key": str(key), "near": near, "known": ", ".join(known)},
            )
    return data


class Section(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        return refuse_unknown(cls, data)


class S3(Section):
    """``[repository.s3]``: the service, where its two keys are to be found, and a token if needed."""

    KEYS: ClassVar[tuple[str, ...]] = ("access_key", "secret_key")
    AT_WILL: ClassVar[tuple[str, ...]] = ("session_token",)
    PLACES: ClassVar[tuple[str, ...]] = ("file", "env", "credential")

    endpoint: Endpoint
    region: str = "us-east-1"
    access_key_file: FilePath | None = None
    access_key_env: str | None = None
    access_key_credential: str | None = None
    secret_key_file: FilePath | None = None
    secret_key_env: str | None = None
    secret_key_credential: str | None = None
    session_token_file: FilePath | None = None
    session_token_env: str | None = None
    session_token_credential: str | None = None
    ca_bundle: FilePath | None = None
    connect_timeout_s: float = Field(default=10.0, gt=0, le=600)
    read_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    patience_s: float = Field(default=180.0, gt=0, le=3600)
    transfers: int = Field(default=8, ge=4, le=16)

    @model_validator(mode="after")
    def _one_place_each(self) -> Self:
        for key in (*self.KEYS, *self.AT_WILL):
            named = self.named(key)
            if len(named) > 1 or (not named and key in self.KEYS):
                told = "names " + " and ".join(named) if named else "does not say where a key is"
                places = ", ".join(f"{key}_{place}" for place in self.PLACES)
                raise ValueError(f"{told}: it needs exactly one of {places}")
            if named and getattr(self, named[0]) == "":
                raise ValueError(f"has an empty {named[0]}")
        return self

    def named(self, key: str) -> list[str]:
        """The entries that say where *key* is."""
        places = [f"{key}_{place}" for place in self.PLACES]
        return [place for place in places if getattr(self, place) is not None]


class Repository(Section):
    """``[repository]``: where the backups lie."""

    url: Url
    s3: S3 | None = None

    @model_validator(mode="after")
    def _service(self) -> Self:
        if isinstance(parse_address(self.url), S3Address) and self.s3 is None:
            raise ValueError(
                "needs a table [repository.s3] with endpoint and keys for an s3:// url"
            )
        return self


class Keys(Section):
    """``[keys]``: the key file, and further holders by their public halves."""

    file: FilePath
    recovery: Recipients = ()


class RbdSource(Section):
    """``[source.NAME]`` with ``type = "rbd"``: images of one Ceph pool."""

    type: Literal["rbd"]
    pool: str = Field(min_length=1)
    ceph_conf: FilePath = Path("/etc/ceph/ceph.conf")
    client: Client = "client.admin"
    keyring: FilePath | None = None
    namespaces: Texts = ("",)
    images: Texts = ("*",)
    policy: Name | None = None
    reads_in_flight: int = Field(default=16, ge=1, le=128)
    sample_cells: int = Field(default=64, ge=0, le=65536)
    op_timeout_s: float = Field(default=30.0, gt=0, le=3600)


class DeviceSource(Section):
    """``[source.NAME]`` with ``type = "device"``: image files and block devices, by path or glob."""

    type: Literal["device"]
    paths: FilePaths
    quiesced: bool = False
    policy: Name | None = None


SourceConfig = Annotated[RbdSource | DeviceSource, Field(discriminator="type")]


class Pack(Section):
    """``[pack]``: how data is cut, compressed and sealed. Workers None: one for each core."""

    zstd_level: int = Field(default=1, ge=-5, le=19)
    frame_size: Size = Field(default=256 * KIB, ge=64 * KIB, le=MIB, multiple_of=64 * KIB)
    pack_size: Size = Field(default=32 * MIB, ge=MIB, le=64 * MIB)
    workers: int | None = Field(default=None, ge=1, le=256)


class KeepCounts(Section):
    """``[policy.NAME.keep]``: the counts of :mod:`drd.core.retention`."""

    last: int = Field(default=0, ge=0)
    hourly: int = Field(default=0, ge=0)
    daily: int = Field(default=0, ge=0)
    weekly: int = Field(default=0, ge=0)
    monthly: int = Field(default=0, ge=0)
    yearly: int = Field(default=0, ge=0)
    minimum: int = Field(default=0, ge=0)


class Policy(Section):
    """``[policy.NAME]``: for the daemon; nothing uses it yet. Durations are in seconds."""

    every: Duration | None = None
    cron: Cron | None = None
    rpo: Duration | None = None
    rto: Duration | None = None
    keep: KeepCounts | None = None
    verify: Duration | None = None
    drill: Duration | None = None
    lock: Duration | None = None

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if self.every is not None and self.cron is not None:
            raise ValueError("names both every and cron: it needs one of them at most")
        return self


def default_state_dir(user: int, environment: Mapping[str, str]) -> Path:
    """Where state lies: root's in ``/var/lib/drd``, others' where XDG says (Base Directory 0.8)."""
    if user == 0:
        return SYSTEM_STATE
    named = environment.get("XDG_STATE_HOME", "")
    if named.startswith("/"):
        return Path(named) / "drd"
    return Path(environment.get("HOME") or "/") / ".local" / "state" / "drd"


def _state_dir() -> Path:
    return default_state_dir(os.geteuid(), os.environ)


class Config(BaseSettings):
    """The whole file, checked and frozen."""

    model_config = SettingsConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    repository: Repository
    keys: Keys
    source: dict[Name, SourceConfig] = Field(default_factory=dict)
    policy: dict[Name, Policy] = Field(default_factory=dict)
    pack: Pack = Field(default_factory=Pack)
    state_dir: FilePath = Field(default_factory=_state_dir)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        return refuse_unknown(cls, data)

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the file alone: an environment that overrides it would be a surprise."""
        return (init_settings,)
