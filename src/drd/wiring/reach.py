"""A repository that the command line names: where there is no configuration, or in place of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drd.config import S3, Config, Credentials, Principal, read_credentials
from drd.core.address import FileAddress, parse_address
from drd.errors import ConfigError, UsageError
from drd.keys.files import read_text
from drd.ports import Store

if TYPE_CHECKING:
    from drd.stores.s3 import S3Settings

DEFAULT_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of the repository: ``--sheet``, ``--url``, ``--endpoint``."""

    sheet: Path | None = None
    url: str = ""
    endpoint: str = ""

    def check(self) -> None:
        """An address without a sheet is a mistake: what it names would not be looked at.

        Raises:
            UsageError: there is one.
        """
        if self.sheet is None and (self.url or self.endpoint):
            raise UsageError(
                "--url and --endpoint go with --sheet",
                about=self.url or self.endpoint,
                hint="add --sheet FILE; or set repository.url in the configuration, or name another "
                "one with --config",
            )

    @property
    def elsewhere(self) -> bool:
        """Whether another place than the configuration's is named."""
        return bool(self.url or self.endpoint)


@dataclass(frozen=True, slots=True)
class Reach:
    """How a repository is reached. Without *credentials* an ``s3://`` one cannot be."""

    url: str
    endpoint: str = ""
    region: str = ""
    ca_bundle: Path | None = None
    credentials: Credentials | None = None

    def store(self) -> Store:
        """The store at this address.

        Raises:
            ConfigError: something is missing, or the address is none.
        """
        if not self.url:
            raise ConfigError(
                "no repository is named", hint="use --config FILE, or --sheet FILE (and --url URL)"
            )
        address = parse_address(self.url)
        if isinstance(address, FileAddress):
            from drd.stores.local import LocalStore  # noqa: PLC0415 - drctl status asks no store

            return LocalStore(Path(address.path))
        if self.credentials is None or not self.endpoint:
            raise ConfigError(
                "without a configuration the S3 service must be named",
                about=self.url,
                hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and --endpoint URL if the "
                "sheet has none",
            )
        from drd.stores.s3 import S3Settings, S3Store  # noqa: PLC0415

        settings = S3Settings(
            endpoint=self.endpoint,
            access_key=self.credentials.access_key,
            secret_key=self.credentials.secret_key,
            session_token=self.credentials.session_token,
            region=self.region or DEFAULT_REGION,
            ca_bundle=self.ca_bundle,
        )
        return S3Store(address, settings)


def s3_settings(s3: S3, principal: Principal, *, table: str) -> S3Settings:
    """How the service *s3* is reached with the keys of *principal*, the table *table* of the configuration.

    Raises:
        ConfigError: a key cannot be read.
    """
    from drd.stores.s3 import S3Settings  # noqa: PLC0415

    credentials = read_credentials(principal, os.environ, table=table)
    return S3Settings(
        endpoint=s3.endpoint,
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        session_token=credentials.session_token,
        region=s3.region,
        ca_bundle=s3.ca_bundle,
        connect_timeout_s=s3.connect_timeout_s,
        read_timeout_s=s3.read_timeout_s,
    )


def reach_of(asked: Asked, config: Config | None, environment: Mapping[str, str]) -> Reach:
    """How to reach what was *asked* for.

    Each fact comes from the first that has it: the command line, the configuration, the sheet. The S3
    keys come from ``AWS_`` variables, where both are set, else from the configuration: another place
    mostly has keys of its own.

    Raises:
        KeyAccessError: the sheet is missing, or lines of it are wrong.
        ConfigError: the sheet, or a key that the configuration names, cannot be read.
    """
    address, endpoint, region = "", "", ""
    if asked.sheet is not None:
        from drd.core.sheet import decode_sheet  # noqa: PLC0415

        sheet = decode_sheet(read_text(asked.sheet, "recovery sheet"), about=str(asked.sheet))
        address, endpoint, region = sheet.address, sheet.endpoint, sheet.region
    s3 = config.repository.s3 if config is not None else None
    url = asked.url or (config.repository.url if config is not None else address)
    credentials = _of_environment(environment)
    if credentials is None and s3 is not None and url.startswith("s3:"):
        credentials = read_credentials(s3, environment)
    bundle = environment.get("DRD_CA_BUNDLE", "")
    return Reach(
        url=url,
        endpoint=asked.endpoint or (s3.endpoint if s3 else endpoint),
        region=environment.get("AWS_REGION", "") or (s3.region if s3 else region),
        ca_bundle=Path(bundle) if bundle else s3.ca_bundle if s3 else None,
        credentials=credentials,
    )


def _of_environment(environment: Mapping[str, str]) -> Credentials | None:
    """The keys that every S3 program takes; a token belongs to keys that are good for a while."""
    words = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    access, secret, token = (environment.get(word, "") for word in words)
    return Credentials(access, secret, token) if access and secret else None
