"""Reading the secrets that the configuration names. No message ever shows one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from drd.config.sections import Keys, Principal
from drd.errors import ConfigError

MAX_BYTES: Final = 65536
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The two keys of an S3 principal, and the token that belongs to keys good for a while."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def read_credentials(
    principal: Principal, environment: Mapping[str, str], *, table: str = "repository.s3"
) -> Credentials:
    """Read both keys, and the token if one is named, from where *principal* says they are.

    Args:
        principal: the table of the configuration.
        table: its name there, for messages.
        environment: variables of the process; ``CREDENTIALS_DIRECTORY`` is where systemd puts
            credentials (systemd.exec(5)).

    Raises:
        ConfigError: one of them cannot be read, or is empty.
    """
    return Credentials(
        _read(principal, "access_key", environment, table),
        _read(principal, "secret_key", environment, table),
        _read(principal, "session_token", environment, table)
        if principal.named("session_token")
        else "",
    )


def given_by_systemd(environment: Mapping[str, str]) -> bool:
    """Whether this process was given credentials (systemd.exec(5), LoadCredential=)."""
    return bool(environment.get("CREDENTIALS_DIRECTORY"))


def key_credential(keys: Keys, environment: Mapping[str, str]) -> Path | None:
    """The key file as systemd hands it to this process; None where ``keys.file`` is to be read.

    Raises:
        ConfigError: what the configuration names is no name of a credential.
    """
    if keys.file_credential is None or not given_by_systemd(environment):
        return None
    return _in_folder(keys.file_credential, environment, "keys.file")


def _read(principal: Principal, key: str, environment: Mapping[str, str], table: str) -> str:
    file: Path | None = getattr(principal, f"{key}_file")
    variable: str | None = getattr(principal, f"{key}_env")
    credential: str | None = getattr(principal, f"{key}_credential")
    where = f"{table}.{key}"
    if variable is not None:
        if variable not in environment:
            raise ConfigError(
                f"the variable {variable} is not set",
                about=f"{where}_env",
                hint="set it, or use a file or a systemd credential",
            )
        return _checked(environment[variable], f"the variable {variable}", f"{where}_env")
    if credential is not None and (file is None or given_by_systemd(environment)):
        return read_secret(_in_folder(credential, environment, where), f"{where}_credential")
    return read_secret(file or Path(), f"{where}_file")


def _in_folder(credential: str, environment: Mapping[str, str], where: str) -> Path:
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise ConfigError(
            "there are no systemd credentials: CREDENTIALS_DIRECTORY is not set",
            about=f"{where}_credential",
            hint=f"run drd as a unit with LoadCredential={credential}:PATH, or name a file",
        )
    if not _CREDENTIAL.fullmatch(credential) or credential in (".", ".."):
        raise ConfigError(f"{credential!r} is no name of a credential", about=f"{where}_credential")
    return Path(folder) / credential


def read_secret(path: Path, key: str) -> str:
    """The one line of a secret file, without white space around it.

    Args:
        path: the file.
        key: the configuration's key that named it, for messages.

    Raises:
        ConfigError: it cannot be read, is empty, or holds more than one line.
    """
    try:
        # Nothing waits on a pipe and nothing is read without end: a secret is a small plain file.
        if not path.is_file():
            reason = "it is no plain file" if path.exists() else "there is no such file"
            raise ConfigError(f"the secret of {key} cannot be read: {reason}", about=str(path))
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"the secret of {key} cannot be read: {told}",
            about=str(path),
            hint="let the user that drd runs as read it",
        ) from error
    try:
        return _checked(data.decode(), "the file", str(path))
    except UnicodeDecodeError:
        # Not chained: the message of the decoder holds bytes of the secret.
        raise ConfigError(f"the secret of {key} is no text", about=str(path)) from None


def _checked(text: str, what: str, about: str) -> str:
    secret = text.strip()
    if not secret:
        raise ConfigError(f"{what} of a secret is empty", about=about)
    if len(secret.split()) > 1 or not secret.isprintable():
        raise ConfigError(f"{what} of a secret holds more than one word", about=about)
    return secret
