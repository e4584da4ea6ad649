"""What the S3 store makes of answers, of silence, and of a broken line."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable

import pytest

from drd.core.address import S3Address
from drd.errors import (
    ConfigError,
    ObjectExistsError,
    ObjectMissingError,
    PlaceMissingError,
    StoreError,
    TransientStoreError,
)
from drd.stores.s3 import S3Settings, S3Store
from tests.unit.stores.scripted_s3 import Answer, listing, scripted, store_at

REFUSALS = [
    (403, "AccessDenied", "denies access", "policy"),
    (403, "InvalidAccessKeyId", "does not know the access key", "access_key_file"),
    (403, "SignatureDoesNotMatch", "rejects the signature", "secret_key_file"),
    (403, "RequestTimeTooSkewed", "clock", "NTP"),
    (403, "SomethingElse", "denies access", "policy"),
    (404, "NoSuchBucket", "bucket does not exist", "make it"),
    (400, "AuthorizationHeaderMalformed", "another region", "region"),
    (301, "PermanentRedirect", "another region", "region"),
    (400, "EntityTooLarge", "object of this size", "pack size"),
    (403, "QuotaExceeded", "full", "quota"),
    (507, "XMinioStorageFull", "full", "quota"),
    (507, "", "full", "quota"),
    (501, "NotImplemented", "does not know this request", ""),
    (400, "InvalidSomething", "refuses the request", ""),
]
PASSING = [
    (500, "InternalError"),
    (502, ""),
    (503, "SlowDown"),
    (503, "ServiceUnavailable"),
    (504, ""),
    (429, "TooManyRequests"),
    (408, ""),
    (400, "RequestTimeout"),
    (409, "OperationAborted"),
    (400, "BadDigest"),
    (400, "XAmzContentSHA256Mismatch"),
    (400, "IncompleteBody"),
]


@pytest.mark.parametrize("status,code,message,hint", REFUSALS)
def test_a_refusal_is_final_and_names_the_next_step(
    status: int, code: str, message: str, hint: str
) -> None:
    with scripted(Answer(status, code)) as server:
        with pytest.raises(StoreError, match=message) as caught:
            store_at(server.endpoint).put("p/a", b"1")
        assert not isinstance(caught.value, TransientStoreError)
        no_place = code == "NoSuchBucket"
        assert isinstance(caught.value, PlaceMissingError) == no_place
        assert caught.value.exit_code == (10 if no_place else 13)
        assert caught.value.about == ("bucket" if no_place else "p/a")
        assert hint in caught.value.hint
        assert "SECRET" not in repr(caught.value.__cause__) + str(caught.value)


@pytest.mark.parametrize("status,code", PASSING)
def test_what_may_pass_is_transient_and_asked_once(status: int, code: str) -> None:
    with scripted(Answer(status, code)) as server:
        with pytest.raises(TransientStoreError):
            store_at(server.endpoint).put("p/a", b"1")
        assert len(server.requests) == 1


def test_a_condition_in_dispute_is_not_lost_yet() -> None:
    """Another conditional PUT is under way: who won is not decided, and asking again is the way."""
    with scripted(Answer(409, "ConditionalRequestConflict")) as server:
        with pytest.raises(TransientStoreError):
            store_at(server.endpoint).put("p/a", b"1", if_absent=True)
        assert server.requests[0].headers["if-none-match"] == "*"


@pytest.mark.parametrize("status,code", [(412, "PreconditionFailed"), (412, "")])
def test_a_condition_that_is_not_met_says_that_the_name_is_taken(status: int, code: str) -> None:
    with scripted(Answer(status, code)) as server:
        with pytest.raises(ObjectExistsError):
            store_at(server.endpoint).put("p/a", b"1", if_absent=True)
        assert server.requests[0].headers["if-none-match"] == "*"


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchVersion"])
def test_absent_is_missing(code: str) -> None:
    with scripted(Answer(404, code), listing()) as server, pytest.raises(ObjectMissingError):
        store_at(server.endpoint).get("p/a")


@pytest.mark.parametrize("code", ["InvalidArgument", "InvalidVersionId"])
def test_a_version_of_another_kind_of_store_is_missing(code: str) -> None:
    with scripted(Answer(400, code)) as server, pytest.raises(ObjectMissingError):
        store_at(server.endpoint).get("p/a", version="from-elsewhere")
    with scripted(Answer(400, code)) as server, pytest.raises(StoreError) as caught:
        store_at(server.endpoint).get("p/a")
    assert type(caught.value) is StoreError


@pytest.mark.parametrize(
    "status,code,message",
    [
        (404, "NoSuchKey", "no such object"),
        (404, "NoSuchBucket", "bucket does not exist"),
        (403, "InvalidAccessKeyId", "does not know the access key"),
        (400, "RequestTimeTooSkewed", "clock"),
    ],
)
def test_head_has_no_body_so_get_tells_why(status: int, code: str, message: str) -> None:
    with scripted(Answer(status), Answer(status, code)) as server:
        with pytest.raises(StoreError, match=message) as caught:
            store_at(server.endpoint).stat("p/a", version="7")
        assert isinstance(caught.value, ObjectMissingError) == (code == "NoSuchKey")
        assert [r.method for r in server.requests] == ["HEAD", "GET"]
        assert server.requests[1].headers["range"] == "bytes=0-0"


def test_head_that_failed_for_no_reason_is_no_absence() -> None:
    with scripted(Answer(400), Answer(body=b"1")) as server, pytest.raises(StoreError) as caught:
        store_at(server.endpoint).stat("p/a")
    assert not isinstance(caught.value, ObjectMissingError)


BROKEN: list[tuple[str, Answer]] = [
    ("cut short", Answer(body=b"12345", cut=2)),
    ("hung up on", Answer(hang_up=True)),
    ("left waiting", Answer(silent=True)),
]


@pytest.mark.parametrize("answer", [a for _, a in BROKEN], ids=[name for name, _ in BROKEN])
def test_a_broken_answer_is_transient(answer: Answer) -> None:
    with scripted(answer) as server, pytest.raises(TransientStoreError, match="reached"):
        store_at(server.endpoint, timeout_s=0.3).get("p/a")
    if not answer.cut:
        with scripted(answer) as server, pytest.raises(TransientStoreError, match="reached"):
            store_at(server.endpoint, timeout_s=0.3).put("p/a", b"1")


def test_a_server_that_is_down_is_transient() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(TransientStoreError, match="cannot be reached") as caught:
        store_at(f"http://127.0.0.1:{port}").get("p/a")
    assert "endpoint" in caught.value.hint


@pytest.mark.parametrize("status", [200, 403, 404, 405, 502])
def test_a_web_page_is_named_as_such(status: int) -> None:
    page = Answer(status, body=b"<html><p>Welcome!", headers={"Content-Type": "text/html"})
    with scripted(page, page) as server, pytest.raises(StoreError, match="web page") as caught:
        list(store_at(server.endpoint).folders(""))
    assert "endpoint" in caught.value.hint


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/html"}])
def test_a_bare_404_proves_no_absence(headers: dict[str, str]) -> None:
    answers = [Answer(404, headers=headers)] * 2
    for name in ("get", "stat", "delete"):
        with scripted(*answers) as server, pytest.raises(StoreError) as caught:
            getattr(store_at(server.endpoint), name)("p/a")
        assert not isinstance(caught.value, ObjectMissingError)


@pytest.mark.parametrize("name", ["put", "stat", "list"])
def test_an_empty_200_is_no_success(name: str) -> None:
    nothing = Answer(headers={"Content-Type": "text/plain"})
    with scripted(nothing) as server:
        store = store_at(server.endpoint)
        acts: dict[str, Callable[[], object]] = {
            "put": lambda: store.put("p/a", b"1"),
            "stat": lambda: store.stat("p/a"),
            "list": lambda: list(store.list("")),
        }
        with pytest.raises(StoreError, match="does not answer as an S3 store does"):
            acts[name]()


@pytest.mark.parametrize("status", [301, 302, 307])
def test_no_redirect_is_followed_to_another_host(status: int) -> None:
    with scripted() as other:
        away = {"Location": f"{other.endpoint}/bucket/p/a", "x-amz-bucket-region": "elsewhere-1"}
        answers = [Answer(status, headers=away)] * 3
        with scripted(*answers) as server, pytest.raises(StoreError):
            store_at(server.endpoint).put("p/a", b"secret bytes")
        assert not other.requests


def test_a_refusal_comes_before_the_body_goes() -> None:
    refusal = Answer(412, "PreconditionFailed", before_body=True)
    with scripted(refusal) as server:
        with pytest.raises(ObjectExistsError):
            store_at(server.endpoint).put("p/a", bytearray(8 << 20), if_absent=True)
        assert server.requests[0].headers["expect"] == "100-continue"
        assert server.requests[0].body == b""


def test_a_slow_line_gets_a_pack_through() -> None:
    body = bytearray(12 << 20)
    with scripted(Answer(pause_s=0.03, headers={"ETag": "1"})) as server:
        store_at(server.endpoint, timeout_s=1.5).put("p/a", body)
        assert server.requests[0].body == bytes(body)


class Hashed(bytearray):
    """A buffer that brings its digest."""

    sha256 = b""


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 3_000_001])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_each_body_is_signed_over_its_digest(size: int, kind: Callable[[bytes], bytes]) -> None:
    body = bytes(range(251)) * (size // 251 + 1)
    with scripted() as server:
        store_at(server.endpoint, prefix="site").put("p/a", kind(body[:size]))
    (request,) = server.requests
    assert request.path == "/bucket/site/p/a"
    assert request.body == body[:size]
    assert request.headers["content-length"] == str(size)
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(body[:size]).hexdigest()
    assert ("expect" in request.headers) == (size > 256 * 1024)
    assert "transfer-encoding" not in request.headers
    assert not [name for name in request.headers if "checksum" in name or "trailer" in name]


def test_a_digest_that_is_known_is_not_made_again() -> None:
    body = Hashed(300_000)
    body.sha256 = hashlib.sha256(b"of other bytes, to see which one is used").digest()
    with scripted() as server:
        store_at(server.endpoint).put("p/a", body)
    (request,) = server.requests
    assert request.headers["x-amz-content-sha256"] == body.sha256.hex()
    assert request.body == bytes(body)


def test_what_is_no_digest_is_not_used() -> None:
    body = Hashed(300_000)
    with scripted() as server:
        store_at(server.endpoint).put("p/a", body)
    digest = hashlib.sha256(body).hexdigest()
    assert server.requests[0].headers["x-amz-content-sha256"] == digest


@pytest.mark.parametrize(
    "answer",
    [
        Answer(headers={"ETag": "1"}),
        Answer(412, "PreconditionFailed", before_body=True),
        Answer(hang_up=True),
        Answer(silent=True),
    ],
)
def test_a_buffer_can_be_used_again_once_put_returned(answer: Answer) -> None:
    body = bytearray(2 << 20)
    failure: StoreError | None = None
    with scripted(answer) as server:
        try:
            store_at(server.endpoint, timeout_s=0.3).put("p/a", body)
        except StoreError as error:
            failure = error  # with its traceback, and all that lives in its frames
    body += b"grows only when nobody holds a view"
    assert (failure is None) == (answer.status == 200 and not (answer.hang_up or answer.silent))


def test_a_store_that_ignores_ranges_is_cut_here() -> None:
    with scripted(Answer(body=b"0123456789"), Answer(body=b"0123456789")) as server:
        store = store_at(server.endpoint)
        assert store.get("p/a", start=2, length=3) == b"234"
        assert store.get("p/a", start=7) == b"789"


def test_a_list_asks_for_no_more_than_its_limit() -> None:
    with scripted(listing("m/a@1")) as server:
        assert len(list(store_at(server.endpoint).list("m/", limit=1))) == 1
        assert [r.query["max-keys"] for r in server.requests] == [["1"]]
        assert not list(store_at(server.endpoint).list("m/", limit=0))
        assert len(server.requests) == 1


def test_a_list_full_of_markers_costs_few_requests() -> None:
    pages = [listing(more=("m/a", str(n))) for n in range(9)]
    with scripted(*pages, listing("m/b@1")) as server:
        found = list(store_at(server.endpoint).list("m/", limit=1))
    assert [one.key for one in found] == ["m/b"]
    asked = [r.query["max-keys"][0] for r in server.requests]
    assert asked == ["1", "2", "4", "8", "16", "32", "64", "128", "256", "512"]
    assert server.requests[3].query["key-marker"] == ["m/a"]
    assert server.requests[3].query["version-id-marker"] == ["2"]


@pytest.mark.parametrize("marker", [("m/a", "1"), ("", "")])
def test_a_list_that_does_not_advance_ends_in_an_error(marker: tuple[str, str]) -> None:
    pages = [listing("m/a@1", more=marker)] * 3
    with scripted(*pages) as server, pytest.raises(StoreError, match="neither ends nor goes on"):
        list(store_at(server.endpoint).list("m/"))


def test_a_folder_that_two_pages_show_is_given_once() -> None:
    def page(*folders: str, more: str = "") -> Answer:
        shown = "".join(
            f"<CommonPrefixes><Prefix>m/{f}/</Prefix></CommonPrefixes>" for f in folders
        )
        end = f"<NextKeyMarker>{more}</NextKeyMarker><IsTruncated>{str(bool(more)).lower()}"
        return Answer(body=f"<R>{shown}{end}</IsTruncated></R>".encode())

    with scripted(page("a", "b", more="m/b/"), page("b", "c", "d e")) as server:
        assert list(store_at(server.endpoint).folders("m/")) == ["a", "b", "c"]
    assert server.requests[1].query["key-marker"] == ["m/b/"]


def test_what_cannot_be_a_key_is_left_out_of_a_list() -> None:
    page = listing("site/m/a b", "site/m//", "site/m/../x", "site/m/ok", "site/m/ü")
    with scripted(page) as server:
        found = list(store_at(server.endpoint, prefix="site").list("m/"))
    assert [one.key for one in found] == ["m/ok"]


PLAIN = Answer(
    body=b"<ListBucketResult><Contents><Key>m/a</Key><Size>3</Size>"
    b"<LastModified>2026-11-21T10:00:00.000Z</LastModified></Contents>"
    b"<NextContinuationToken>t</NextContinuationToken><IsTruncated>true</IsTruncated>"
    b"</ListBucketResult>"
)
PLAIN_END = Answer(body=b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")


@pytest.mark.parametrize("refusal", [Answer(403, "AccessDenied"), Answer(501, "NotImplemented")])
def test_without_lists_of_versions_plain_lists_do(refusal: Answer) -> None:
    with scripted(refusal, PLAIN, PLAIN_END, PLAIN_END) as server:
        store = store_at(server.endpoint)
        assert [(o.key, o.version) for o in store.list("m/", after="m/0")] == [("m/a", "")]
        assert server.requests[1].query["start-after"] == ["m/0"]
        assert server.requests[2].query["continuation-token"] == ["t"]
        assert not list(store.list("m/"))
        assert server.requests[3].query["list-type"] == ["2"], "it asked again what was refused"


def test_a_list_that_is_denied_both_ways_is_denied_and_tried_anew() -> None:
    denied = Answer(403, "AccessDenied")
    with scripted(denied, denied, listing("m/a@1")) as server:
        store = store_at(server.endpoint)
        with pytest.raises(StoreError, match="denies"):
            list(store.list("m/"))
        assert [o.key for o in store.list("m/")] == ["m/a"]


def test_a_secret_is_never_shown() -> None:
    settings = S3Settings("http://127.0.0.1:1", "ACCESS", "SECRET")
    assert "SECRET" not in repr(settings)
    assert S3Store(S3Address("bucket", "p"), settings).url == "s3://bucket/p"


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:9000", "http://", "http://a b", "ftp://h"])
def test_an_endpoint_that_is_none_is_a_configuration_error(endpoint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        S3Store(S3Address("bucket"), S3Settings(endpoint, "ACCESS", "SECRET"))
    assert "endpoint" in caught.value.hint


def test_keys_in_an_endpoint_are_refused_and_not_repeated() -> None:
    settings = S3Settings("https://user:PASSWORD@host", "ACCESS", "SECRET")
    with pytest.raises(ConfigError) as caught:
        S3Store(S3Address("bucket"), settings)
    assert "PASSWORD" not in f"{caught.value}{caught.value.hint}"


def test_a_region_that_is_none_is_a_configuration_error() -> None:
    settings = S3Settings("http://127.0.0.1:9", "ACCESS", "SECRET", region="eu north")
    with pytest.raises(ConfigError):
        S3Store(S3Address("bucket"), settings)
