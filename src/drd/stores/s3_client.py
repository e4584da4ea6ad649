"""A client of boto3's engine, set up for stores that are not Amazon's, and as quickly as it can be.

The only module but ``s3_errors`` that imports botocore, and nobody imports the two before a store
is made: ``drctl --help`` must not wait for them. It is plain botocore, the engine of boto3: boto3's
own layer makes the start half as long again, for objects and transfers that drd does not use.

Nothing is taken from the environment or from ``~/.aws``: endpoint, keys, proxy and certificates are
what drd's configuration says, and nothing that happens to be set in an operator's shell.
"""

from __future__ import annotations

import functools
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import botocore.auth
import botocore.session
from botocore.config import Config
from botocore.configprovider import (
    BOTOCORE_DEFAUT_SESSION_VARIABLES,
    ConfigValueStore,
    ConstantProvider,
)
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader
from typing_extensions import override

from drd.errors import ConfigError
from drd.stores.s3_body import Body

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from mypy_boto3_s3 import S3Client

    from drd.stores.s3 import S3Settings

_SIGNER: Final = "drd-s3v4"

_SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat, Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
)


def connect(settings: S3Settings) -> S3Client:
    """Make a client; it does not talk to the store yet.

    Raises:
        ConfigError: endpoint, region or CA bundle cannot be used.
    """
    _check_endpoint(settings.endpoint)
    try:
        client = _session().create_client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            aws_session_token=settings.session_token or None,
            verify=_certificates(settings),
            config=_config(settings),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(
            f"no S3 client can be made: {error}",
            about=settings.endpoint,
            hint="check endpoint and region in [repository.s3]",
        ) from error
    events = client.meta.events
    events.register_first("choose-signer.s3.PutObject", _choose_signer)  # type: ignore[arg-type]
    events.register_last("before-parameter-build.s3", _stay_here)
    return cast("S3Client", client)


def _check_endpoint(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise ConfigError(
            "the S3 endpoint is no address of a server",
            about=(parts.hostname or "") if parts.username else endpoint,
            hint='set endpoint in [repository.s3], such as "https://s3.example.org:9000"',
        )


def _config(settings: S3Settings) -> Config:
    return Config(
        # Stores other than Amazon's stumble over the checksum trailers that boto3 sends since 1.36.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # The signature covers the SHA-256 of the body, so every store verifies what arrives.
        s3={"addressing_style": "path", "payload_signing_enabled": True},
        retries={"mode": "standard", "total_max_attempts": 1},  # stores.retrying is the one retry
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # newer than its stubs
        proxies={},
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        max_pool_connections=settings.connections,
        tcp_keepalive=True,
        user_agent_extra="drd",
    )


def _session() -> botocore.session.Session:
    """Return a session that neither the environment nor a file in a home directory can change."""
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    constants: dict[str, object] = {
        name: variable[2] for name, variable in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    constants |= {"config_file": os.devnull, "credentials_file": os.devnull}
    session.register_component(
        "config_store",
        ConfigValueStore({name: ConstantProvider(value) for name, value in constants.items()}),
    )
    return session


@functools.cache
def _loader() -> Loader:
    """One for all clients of the process: it remembers what it parsed, 2 MiB of JSON."""
    return _OnlyS3Loader()


def warm() -> None:
    """Parse what the first client of a process waits for; for a process that forks later."""
    _session().create_client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nobody",  # noqa: S106 - this client is never used
        verify=False,
    )


class _OnlyS3Loader(Loader):
    """Botocore's own data files, without a look into each of its 400 folders for what it has."""

    def __init__(self) -> None:
        super().__init__(
            extra_search_paths=[self.BUILTIN_DATA_PATH], include_default_search_paths=False
        )

    @override
    def list_available_services(self, type_name: str) -> list[str]:
        return ["s3"]


def _certificates(settings: S3Settings) -> str | bool:
    """Return the file with the CAs to trust; False where there is no TLS to check."""
    if not settings.endpoint.lower().startswith("https:"):
        return False
    chosen = settings.ca_bundle or _system_bundle()
    if chosen is None:
        raise ConfigError(
            "no file with the system's certificate authorities was found",
            about=settings.endpoint,
            hint="install ca-certificates, or set ca_bundle in [repository.s3]",
        )
    try:
        ssl.create_default_context(cafile=chosen)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the CA bundle cannot be read: {error}",
            about=str(chosen),
            hint="ca_bundle in [repository.s3] names a PEM file that drd may read",
        ) from error
    return str(chosen)


def _system_bundle() -> Path | None:
    of_openssl = ssl.get_default_verify_paths().cafile
    places = ((of_openssl,) if of_openssl else ()) + _SYSTEM_BUNDLES
    return next((Path(place) for place in places if Path(place).is_file()), None)


class _S3Auth(botocore.auth.S3SigV4Auth):
    """Signature version 4 that does not hash a body whose digest is known already."""

    @override
    def payload(self, request: AWSRequest) -> str:
        """Return the SHA-256 of the body in hex, for the header ``X-Amz-Content-SHA256``."""
        body: Any = request.body
        if isinstance(body, Body) and body.sha256 is not None:
            return body.sha256.hex()
        return super().payload(request)


botocore.auth.AUTH_TYPE_MAPS[_SIGNER] = _S3Auth  # a further name; the others stay as they are


def _stay_here(context: dict[str, Any], **_event: object) -> None:
    """Tell botocore that it followed a redirect already.

    It would ask the bucket for its region after a failure, and sign again for what the answer says.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _choose_signer(**_event: object) -> str:
    return _SIGNER
