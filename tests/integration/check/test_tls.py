"""drd-check on a real bucket at the far end of TLS, with an authority of the operator's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drd.core.address import S3Address
from drd.stores.s3 import S3Settings, S3Store
from lab.minio import Minio
from tests.daemon.line import Line, line_to
from tests.unit.check.second import OK, UNKNOWN, Said, Second, look
from tests.unit.stores.authority import Authority

Check = Callable[..., Said]


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """An authority that nobody knows."""
    return Authority(tmp_path, "ours")


@pytest.fixture
def line(minio: Minio, ours: Authority) -> Iterator[Line]:
    """MinIO behind TLS, its certificate signed by that authority."""
    with line_to(minio.endpoint, tls=ours.server("127.0.0.1")) as made:
        yield made


@pytest.fixture
def second(tmp_path: Path, minio: Minio, ours: Authority, line: Line) -> Second:
    """A repository that was written over TLS, too."""
    settings = S3Settings(line.endpoint, minio.access, minio.secret, ca_bundle=ours.bundle)
    store = S3Store(S3Address(minio.fresh_bucket(), "site-a"), settings)
    made = Second(tmp_path / "site", store=store)
    made.back_up("a")
    return made


@pytest.fixture
def check(second: Second, minio: Minio, monkeypatch: pytest.MonkeyPatch) -> Check:
    """drd-check at an endpoint, with what else it is told."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.secret)

    def at(endpoint: str, *more: object) -> Said:
        told = ("--url", second.written.store.url, "--root", second.root, "--json")
        return look(*told, "--endpoint", endpoint, *more)

    return at


def test_a_bucket_behind_an_authority_that_is_named(
    check: Check, line: Line, ours: Authority
) -> None:
    before = line.answers
    said = check(line.endpoint, "--ca-bundle", ours.bundle)
    assert said.code == OK, said.out
    assert set(said.findings.values()) == {"ok"}
    assert line.answers > before, "it went over the line"


def test_who_is_not_trusted_is_not_talked_to(check: Check, line: Line, tmp_path: Path) -> None:
    unnamed = check(line.endpoint)
    assert unnamed.code == UNKNOWN
    assert "CERTIFICATE_VERIFY_FAILED" in unnamed.out
    assert "--ca-bundle" in unnamed.out
    other = Authority(tmp_path, "other")
    assert check(line.endpoint, "--ca-bundle", other.bundle).code == UNKNOWN
    missing = check(line.endpoint, "--ca-bundle", tmp_path / "no-such.pem")
    assert missing.code == UNKNOWN
    assert "no-such.pem" in missing.out


def test_a_certificate_of_another_host_is_not_trusted(
    check: Check, minio: Minio, ours: Authority
) -> None:
    with line_to(minio.endpoint, tls=ours.server("127.0.0.2")) as elsewhere:
        said = check(elsewhere.endpoint, "--ca-bundle", ours.bundle)
        assert said.code == UNKNOWN
        assert "CERTIFICATE_VERIFY_FAILED" in said.out, "a certificate of another host"
        assert elsewhere.answers == 0
