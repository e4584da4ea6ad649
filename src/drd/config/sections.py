"""The tables of the configuration file. ``config/drd.toml`` explains each key to its reader.

Everything is strict: no text becomes a number, no number a switch, no unknown key is passed over.
Nothing is read from the environment but the default of ``state_dir``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from drd.config.policies import Daemon, Limits, Policy, Prune
from drd.config.section import Section, refuse_unknown
from drd.config.values import (
    KIB,
    MIB,
    Client,
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

SYSTEM_STATE: Final = Path("/var/lib/drd")


class Principal(Section):
    """Where the two keys of an S3 principal are to be found, and a token if needed.

    A credential may stand beside a file: it counts where systemd gave this process credentials.
    """

    KEYS: ClassVar[tuple[str, ...]] = ("access_key", "secret_key")
    AT_WILL: ClassVar[tuple[str, ...]] = ("session_token",)
    PLACES: ClassVar[tuple[str, ...]] = ("file", "env", "credential")

    access_key_file: FilePath | None = None
    access_key_env: str | None = None
    access_key_credential: str | None = None
    secret_key_file: FilePath | None = None
    secret_key_env: str | None = None
    secret_key_credential: str | None = None
    session_token_file: FilePath | None = None
    session_token_env: str | None = None
    session_token_credential: str | None = None

    @model_validator(mode="after")
    def _one_place_each(self) -> Self:
        for key in (*self.KEYS, *self.AT_WILL):
            named = self.named(key)
            beside = named == [f"{key}_file", f"{key}_credential"]
            if (len(named) > 1 and not beside) or (not named and key in self.KEYS):
                told = "names " + " and ".join(named) if named else "does not say where a key is"
                places = ", ".join(f"{key}_{place}" for place in self.PLACES)
                raise ValueError(f"{told}: it needs exactly one of {places}")
            for one in named:
                if getattr(self, one) == "":
                    raise ValueError(f"has an empty {one}")
        return self

    def named(self, key: str) -> list[str]:
        """The entries that say where *key* is."""
        places = [f"{key}_{place}" for place in self.PLACES]
        return [place for place in places if getattr(self, place) is not None]


class S3(Principal):
    """``[repository.s3]``: the service, its keys, and those of the principal that may delete."""

    endpoint: Endpoint
    region: str = "us-east-1"
    ca_bundle: FilePath | None = None
    connect_timeout_s: float = Field(default=10.0, gt=0, le=600)
    read_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    patience_s: float = Field(default=180.0, gt=0, le=3600)
    transfers: int = Field(default=8, ge=4, le=16)
    pruner: Principal | None = None


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
    """``[keys]``: the key file, and further holders by their public halves.

    *file_credential* goes before *file* where systemd gave this process credentials.
    """

    file: FilePath
    file_credential: str | None = Field(default=None, min_length=1)
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
    limits: Limits | None = None
    reads_in_flight: int = Field(default=16, ge=1, le=128)
    neighbour: bool = True
    sample_cells: int = Field(default=64, ge=0, le=65536)
    op_timeout_s: float = Field(default=30.0, gt=0, le=3600)


class DeviceSource(Section):
    """``[source.NAME]`` with ``type = "device"``: image files and block devices, by path or glob."""

    type: Literal["device"]
    paths: FilePaths
    quiesced: bool = False
    policy: Name | None = None
    limits: Limits | None = None


SourceConfig = Annotated[RbdSource | DeviceSource, Field(discriminator="type")]


class Pack(Section):
    """``[pack]``: how data is cut, compressed and sealed. Workers None: one for each core; refill:
    blocks of sparse packs are put again, so that these can go.
    """

    zstd_level: int = Field(default=1, ge=-5, le=19)
    frame_size: Size = Field(default=256 * KIB, ge=64 * KIB, le=MIB, multiple_of=64 * KIB)
    pack_size: Size = Field(default=32 * MIB, ge=MIB, le=64 * MIB)
    workers: int | None = Field(default=None, ge=1, le=256)
    refill: bool = True


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
    daemon: Daemon = Field(default_factory=Daemon)
    prune: Prune = Field(default_factory=Prune)
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
