"""Addresses of repositories: the two forms, and what is said about all others."""

from __future__ import annotations

import pytest

from drd.core.address import FileAddress, S3Address, parse_address
from drd.errors import ConfigError


@pytest.mark.parametrize(
    "url,path",
    [
        ("file:///srv/drd", "/srv/drd"),
        ("file:///srv/drd/", "/srv/drd"),
        ("file:///srv//drd/./x", "/srv/drd/x"),
        ("file:////srv/drd", "/srv/drd"),
        ("file:///srv/my%20disk", "/srv/my disk"),
        ("file:///srv/ümlaut@home", "/srv/ümlaut@home"),
    ],
)
def test_a_folder(url: str, path: str) -> None:
    address = parse_address(url)
    assert address == FileAddress(path)
    assert address.url == f"file://{path}"


@pytest.mark.parametrize(
    "url,bucket,prefix",
    [
        ("s3://drd", "drd", ""),
        ("s3://drd/", "drd", ""),
        ("s3://drd/site-a", "drd", "site-a"),
        ("s3://my.bucket-1/deep/er/", "my.bucket-1", "deep/er"),
    ],
)
def test_a_bucket(url: str, bucket: str, prefix: str) -> None:
    address = parse_address(url)
    assert address == S3Address(bucket, prefix)
    assert address.url == url.rstrip("/")


@pytest.mark.parametrize(
    "url,hint",
    [
        ("/srv/drd", "write file:///srv/drd"),
        ("srv/drd", "file:///path"),
        ("", "file:///path"),
        ("file://srv/drd", "write file:///srv/drd"),
        ("file://relative", "write file:///relative"),
        ("file:///", "file:///path"),
        ("file:///.", "file:///path"),
        ("file:///srv/../etc", "without detours"),
        ("file:///srv/%2e%2e/etc", "without detours"),
        ("file:///srv/a%00b", "without detours"),
        ("file:///srv/drd?x=1", "%3F"),
        ("file:///srv/drd#x", "%23"),
        ("http://host/bucket", "s3://bucket"),
        ("S3://drd", "s3://bucket"),
        ("s3://", "endpoint"),
        ("s3://ab", "endpoint"),
        ("s3://Bucket", "endpoint"),
        ("s3://host:9000/bucket", "endpoint"),
        ("s3://-bucket", "endpoint"),
        ("s3://bucket\n", "endpoint"),
        ("s3://bucket/a//b", "plain prefix"),
        ("s3://bucket/a b", "plain prefix"),
        ("s3://bucket/../b", "plain prefix"),
        ("s3://bucket/a?b", "plain prefix"),
        ("s3://bucket/" + "p" * 256, "plain prefix"),
    ],
)
def test_what_is_neither_is_an_error_that_shows_the_way(url: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(url)
    assert hint in caught.value.hint
    assert caught.value.about == url
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "url", ["s3://KEY:SECRET@bucket", "s3://bucket/KEY:SECRET@x", "https://KEY:SECRET@host/bucket"]
)
def test_a_secret_in_an_address_is_never_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(url)
    assert "SECRET" not in f"{caught.value}{caught.value.about}{caught.value.hint}"
