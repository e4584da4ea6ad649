"""The configuration: one TOML file, strict, frozen; secrets are named in it and never stand in it.

``values``       single values: sizes, durations, addresses, names
``section``      what all tables have in common
``policies``     the tables that the daemon reads
``sections``     the other tables, and the whole file
``credentials``  reading the secrets that it names
``loading``      from the file to a ``Config``, or to an error that says where and what instead
"""

from drd.config.credentials import Credentials, key_credential, read_credentials
from drd.config.loading import load_config
from drd.config.policies import Daemon, KeepCounts, Limits, Policy, Prune, VerifyPlan, as_limit
from drd.config.sections import (
    S3,
    Config,
    DeviceSource,
    Keys,
    Principal,
    RbdSource,
    Repository,
    SourceConfig,
)

__all__ = [
    "S3",
    "Config",
    "Credentials",
    "Daemon",
    "DeviceSource",
    "KeepCounts",
    "Keys",
    "Limits",
    "Policy",
    "Principal",
    "Prune",
    "RbdSource",
    "Repository",
    "SourceConfig",
    "VerifyPlan",
    "as_limit",
    "key_credential",
    "load_config",
    "read_credentials",
]
