"""The configuration: one TOML file, strict, frozen; secrets are named in it and never stand in it.

``values``       single values: sizes, durations, addresses, names
``sections``     the tables of the file
``credentials``  reading the secrets that it names
``loading``      from the file to a ``Config``, or to an error that says where and what instead
"""

from drd.config.credentials import Credentials, read_credentials
from drd.config.loading import load_config
from drd.config.sections import (
    S3,
    Config,
    DeviceSource,
    Policy,
    RbdSource,
    Repository,
    SourceConfig,
)

__all__ = [
    "S3",
    "Config",
    "Credentials",
    "DeviceSource",
    "Policy",
    "RbdSource",
    "Repository",
    "SourceConfig",
    "load_config",
    "read_credentials",
]
