"""How the S3 client is made: from drd's configuration alone, late, and with the right CAs."""

from __future__ import annotations

from pathlib import Path

import pytest

from drd.core.address import S3Address
from drd.errors import ConfigError, StoreError, TransientStoreError
from drd.stores.s3 import S3Settings, S3Store
from tests.unit.stores.authority import Authority
from tests.unit.stores.processes import run_python
from tests.unit.stores.scripted_s3 import scripted

NOTHING_YET = """
import sys
import drd.stores.s3, drd.core.address, drd.stores.local, drd.stores.metered
print(sorted(name for name in sys.modules if name.split(".")[0] in {"boto3", "botocore"}))
"""

PUT = """
import sys
from drd.core.address import S3Address
from drd.stores.s3 import S3Settings, S3Store
S3Store(S3Address("bucket"), S3Settings(sys.argv[1], "ACCESS", "SECRET")).put("p/a", b"1")
print("boto3" in sys.modules)
"""


def test_nothing_of_amazon_is_imported_before_a_store_is_made() -> None:
    assert run_python(NOTHING_YET).strip() == "[]"


def test_neither_environment_nor_home_change_anything(tmp_path: Path) -> None:
    (tmp_path / ".aws/models/s3/2006-03-01").mkdir(parents=True)
    (tmp_path / ".aws/models/s3/2006-03-01/service-2.json").write_text("{}")
    (tmp_path / ".aws/config").write_text("[default]\nregion = nowhere-1\nbroken\n")
    with scripted() as other, scripted() as server:
        environment = {
            "HOME": str(tmp_path),
            "AWS_PROFILE": "no-such-profile",
            "AWS_CA_BUNDLE": "/no/such/bundle.pem",
            "AWS_ENDPOINT_URL": other.endpoint,
            "AWS_ENDPOINT_URL_S3": other.endpoint,
            "AWS_ACCESS_KEY_ID": "WRONG",
            "AWS_SECRET_ACCESS_KEY": "WRONG",
            "AWS_SESSION_TOKEN": "WRONG",
            "AWS_DEFAULT_REGION": "nowhere-1",
            "AWS_DATA_PATH": str(tmp_path / ".aws/models"),
            "AWS_MAX_ATTEMPTS": "9",
            "AWS_DEFAULTS_MODE": "in-region",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported",
            "AWS_USE_FIPS_ENDPOINT": "true",
            "AWS_USE_DUALSTACK_ENDPOINT": "true",
            "HTTP_PROXY": other.endpoint,
            "http_proxy": other.endpoint,
            "ALL_PROXY": other.endpoint,
        }
        assert run_python(PUT, server.endpoint, environment=environment).strip() == "False"
    assert not other.requests
    (request,) = server.requests
    assert "Credential=ACCESS/" in request.headers["authorization"]
    assert "/us-east-1/s3/" in request.headers["authorization"]
    assert "x-amz-security-token" not in request.headers
    assert "x-amz-trailer" not in request.headers


def put_by_tls(endpoint: str, bundle: Path | None) -> None:
    settings = S3Settings(endpoint, "ACCESS", "SECRET", ca_bundle=bundle)
    S3Store(S3Address("bucket"), settings).put("p/a", b"1")


def test_a_server_of_the_configured_authority_is_trusted(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    with scripted(tls=ours.server("127.0.0.1")) as server:
        put_by_tls(server.endpoint, ours.bundle)
    assert server.requests[0].body == b"1"


@pytest.mark.parametrize("trusted", ["another", "the system's"])
def test_a_server_of_any_other_authority_is_not(tmp_path: Path, trusted: str) -> None:
    ours, another = Authority(tmp_path, "ours"), Authority(tmp_path, "another")
    bundle = another.bundle if trusted == "another" else None
    with scripted(tls=ours.server("127.0.0.1")) as server:
        with pytest.raises(StoreError, match="not trusted") as caught:
            put_by_tls(server.endpoint, bundle)
        assert not server.requests
    assert not isinstance(caught.value, TransientStoreError)
    assert "ca_bundle" in caught.value.hint


def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    with scripted(tls=ours.server("127.0.0.2")) as server:
        with pytest.raises(StoreError, match="not trusted") as caught:
            put_by_tls(server.endpoint, ours.bundle)
        assert not server.requests
    assert not isinstance(caught.value, TransientStoreError)


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_bundle_that_cannot_be_read_is_a_configuration_error(
    tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(ConfigError, match="CA bundle") as caught:
        put_by_tls("https://127.0.0.1:9", bundle)
    assert caught.value.about == str(bundle)
