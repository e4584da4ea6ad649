"""Are the promised backups in the bucket? The alarm that does not need the storage node to be alive.

    drd-check --url s3://BUCKET/PREFIX --root FINGERPRINT [--endpoint https://HOST] [--region R]
    drd-check --url /FOLDER --root FINGERPRINT

It runs in the second site, on Python 3.11 with `cryptography` and nothing of drd, with credentials that
may only read; it needs no key and opens no backup. It finds the trust root by its fingerprint (on the
recovery sheet), reads the newest manifest of each lineage, checks who signed it, and compares the time
by which the next one is promised with the store's own clock. With --state it remembers the newest point
of each lineage, so that a store that hides or takes away points is found out.

Keys for s3://: --access-key-file and --secret-key-file, or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
AWS_SESSION_TOKEN, or systemd credentials whose names end in s3.access and s3.secret.

Exits as a Nagios check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (it could not look); one line with
performance data. docs/second-site.md tells what each finding means; docs/format.md has all bytes.
"""
# mypy: disable-error-code="explicit-override"
# ruff: noqa: D102 - what a method gives stands in its signature and in docs/format.md

from __future__ import annotations

import argparse
import hmac
import json
import os
import re
import ssl
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import islice
from pathlib import Path
from threading import Event, local
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlencode, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

OK, WARNING, CRITICAL, UNKNOWN = range(4)
NAMES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
WORST_FIRST = (CRITICAL, UNKNOWN, WARNING, OK)
FINDINGS = {
    "ok": OK,
    "old": WARNING,
    "future": WARNING,
    "late": CRITICAL,
    "damaged": CRITICAL,
    "rollback": CRITICAL,
    "missing": CRITICAL,
    "unknown": UNKNOWN,
}
"""What may be said of a lineage, and how bad it is; docs/second-site.md explains each."""
LAST_SEQ = 9_999_999_999
"""Names of manifests are this less their number, so that the newest sorts first (section 2)."""
FULL, HOST = 1, "host"
THREADS = 16
LONGEST = 64 << 20
"""Bytes of an object that are read at most: a manifest has some KiB, and the store may be hostile."""
TIMEOUT_S, TRIES = 30.0, 5
SKEW = timedelta(minutes=5)
"""Clocks that differ by more are told; S3 itself allows 15 minutes."""
NAMED, DEPTH = 5, 64  # lineages that the line names; manifests looked at for a full one
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Trouble(Exception):  # noqa: N818 - what is wrong with the repository, or with looking at it
    """Ends the whole check, or that of one lineage; *status* is CRITICAL or UNKNOWN."""

    def __init__(self, message: str, status: int = UNKNOWN) -> None:
        super().__init__(message)
        self.status = status


class BadError(ValueError):
    """Bytes that are not what they should be."""


def must(true: object, why: str) -> None:
    """Raise BadError unless *true*."""
    if not true:
        raise BadError(why)


class Cursor:
    """Takes values from the front of *data* (docs/format.md, section 1)."""

    def __init__(self, data: bytes, magic: bytes = b"") -> None:
        self.data, self.at = data, 0
        must(self.take(len(magic)) == magic, "no object of that kind")

    def take(self, count: int) -> bytes:
        self.at += count
        must(self.at <= len(self.data), "cut off")
        return self.data[self.at - count : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def blob(self) -> bytes:
        return self.take(self.number(4))

    def moment(self) -> datetime | None:
        value = self.number(8)
        try:
            return EPOCH + timedelta(microseconds=value) if value else None
        except OverflowError as error:
            raise BadError("an impossible time") from error

    def end(self) -> None:
        must(self.at == len(self.data), "bytes are left over")


def lp(*parts: bytes) -> bytes:
    """Each part after its length: what is signed."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def check_signature(signer: bytes, signature: bytes, message: bytes) -> None:
    """Ed25519 (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise BadError("its signature is wrong") from error


# ── where the objects lie ───────────────────────────────────────────────────────────────────────
Entry = tuple[str, list[str]]  # a name without its prefix, and its versions, the oldest first


class Folder:
    """A repository in a directory. Its clock is this host's."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, prefix: str) -> Iterator[Entry]:
        yield from ((name, [""]) for name in self._names(prefix, folders=False))

    def folders(self, prefix: str) -> list[str]:
        return self._names(prefix, folders=True)

    def _names(self, prefix: str, *, folders: bool) -> list[str]:
        try:
            found = [one for one in (self.path / prefix).iterdir() if one.is_dir() is folders]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Trouble(f"{self.path / prefix} cannot be read: {error.strerror}") from error
        return sorted(one.name for one in found)

    def read(self, key: str, _: str) -> bytes:
        try:
            with (self.path / key).open("rb") as file:
                data = file.read(LONGEST + 1)
        except OSError as error:
            raise Trouble(f"{self.path / key} cannot be read: {error.strerror}") from error
        must(len(data) <= LONGEST, "too large")
        return data

    def skew(self) -> timedelta:
        return timedelta()

    def close(self) -> None:
        pass


class Bucket:
    """A repository in S3: GET alone, path-style, Signature Version 4; no proxy, no redirect."""

    def __init__(self, place: str, keys: Sequence[str], options: argparse.Namespace) -> None:
        self.bucket, _, prefix = place.strip("/").partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.id, self.secret, self.token = keys
        self.region = options.region
        self.endpoint = options.endpoint or f"https://s3.{options.region}.amazonaws.com"
        try:
            self.tls = ssl.create_default_context(cafile=options.ca_bundle)
        except OSError as error:
            raise Trouble(f"--ca-bundle {options.ca_bundle}: {error.strerror}") from error
        self.mine, self.pause, self.ahead = local(), Event(), timedelta()
        self.lines: list[HTTPConnection] = []

    def entries(self, prefix: str) -> Iterator[Entry]:
        held: Entry | None = None
        for text in self._pages(prefix, {"max-keys": "50"}):
            for block in re.findall("<Version>(.*?)</Version>", text, re.DOTALL):
                about = dict(re.findall("<(Key|VersionId)>([^<]*)<", block))
                name = about.get("Key", "").removeprefix(self.prefix + prefix)
                if held and held[0] != name:
                    yield held
                    held = None
                held = held or (name, [])
                held[1].insert(0, about.get("VersionId", ""))  # S3 has the newest first
        if held:
            yield held

    def folders(self, prefix: str) -> list[str]:
        found: list[str] = []
        for text in self._pages(prefix, {"delimiter": "/"}):
            for block in re.findall("<CommonPrefixes>(.*?)</CommonPrefixes>", text, re.DOTALL):
                found += re.findall("<Prefix>([^<]*)/</Prefix>", block)
        return sorted({one.removeprefix(self.prefix + prefix) for one in found})

    def _pages(self, prefix: str, query: dict[str, str]) -> Iterator[str]:
        query |= {"versions": "", "prefix": self.prefix + prefix}
        text = "<IsTruncated>true<"
        while "<IsTruncated>true<" in text:
            text = self._get("", query).decode(errors="replace")
            yield text
            for name, mark in re.findall("<Next(Key|VersionId)Marker>([^<]+)<", text):
                query[f"{name.lower().replace('id', '-id')}-marker"] = mark

    def read(self, key: str, version: str) -> bytes:
        return self._get("/" + self.prefix + key, {"versionId": version} if version else {})

    def skew(self) -> timedelta:
        return self.ahead

    def _get(self, key: str, query: Mapping[str, str]) -> bytes:
        path = quote(f"/{self.bucket}{key}", "/-_.~")
        line = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
        told = ""
        for attempt in range(TRIES):
            self.pause.wait((2**attempt - 1) / 4)
            try:
                answer, data = self._ask(path, line)
            except ssl.SSLCertVerificationError as error:  # it stays as it is
                raise Trouble(f"{self.endpoint}: {error}; see --ca-bundle") from error
            except (OSError, HTTPException) as error:
                self._hang_up()
                told = f"{type(error).__name__}: {error}"
                continue
            if answer.status == 200:  # noqa: PLR2004 - HTTP's own number
                must(len(data) <= LONGEST, "too large")
                return data
            self._hang_up()
            code = (re.findall(b"<Code>([^<]*)<", data) or [b""])[0].decode(errors="replace")
            told = f"HTTP {answer.status} {code}".strip()
            must(code not in {"NoSuchKey", "NoSuchVersion"}, "it is gone")
            if code == "NoSuchBucket":
                raise Trouble(f"there is no bucket {self.bucket}", CRITICAL)
            if answer.status < 500:  # noqa: PLR2004
                break
        raise Trouble(f"{self.endpoint}/{self.bucket}{key} cannot be read: {told}")

    def close(self) -> None:
        for line in self.lines:
            line.close()

    def _hang_up(self) -> None:
        self.mine.line.close()
        self.mine.line = None

    def _ask(self, path: str, line: str) -> tuple[HTTPResponse, bytes]:
        parts = urlsplit(self.endpoint)
        connection: HTTPConnection | None = getattr(self.mine, "line", None)
        if connection is None:
            host, port = parts.hostname or "", parts.port
            connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
            if parts.scheme == "https":
                connection = HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self.tls)
            self.mine.line = connection
            self.lines.append(connection)
        asked = f"{path}?{line}" if line else path
        connection.request("GET", asked, headers=self._signed(path, line, parts.netloc))
        answer = connection.getresponse()
        if date := answer.getheader("Date"):
            self.ahead = parsedate_to_datetime(date) - here()
        data = answer.read(LONGEST + 1)
        if not answer.isclosed():
            connection.close()
        return answer, data

    def _signed(self, path: str, line: str, host: str) -> dict[str, str]:
        stamp, empty = f"{here():%Y%m%dT%H%M%SZ}", sha256(b"").hexdigest()
        headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": stamp}
        headers |= {"x-amz-security-token": self.token} if self.token else {}
        names = ";".join(sorted(headers))
        listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        asked = sha256(f"GET\n{path}\n{line}\n{listed}\n{names}\n{empty}".encode())
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{asked.hexdigest()}"
        key = b"AWS4" + self.secret.encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        signed = f"Credential={self.id}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        return headers | {"authorization": f"AWS4-HMAC-SHA256 {signed}"}


def here() -> datetime:
    """This host's clock."""
    return datetime.now(UTC)


# ── what is signed ──────────────────────────────────────────────────────────────────────────────
def documents(store: Folder | Bucket, kind: str, root: bytes) -> dict[str, Any]:
    """The newest document of *kind* that the root signed (section 4), with its number and SHA-256."""
    found = sorted(
        ((int(name), versions) for name, versions in store.entries(f"{kind}/") if name.isdecimal()),
        reverse=True,
    )
    must(found, f"there is no {kind}/ in it")
    for number, versions in found:
        for version in versions:
            try:
                data = store.read(f"{kind}/{number}", version)
                cursor = Cursor(data, b"drd1sign" + lp(kind.encode()))
                body, signer, signature = cursor.blob(), cursor.take(32), cursor.take(64)
                cursor.end()
                must(sha256(signer).digest() == root, "not the root's")
                check_signature(signer, signature, lp(b"drd1 " + kind.encode(), body))
                told: dict[str, Any] = json.loads(body)
                must(told.get("n", number) == number, "it has another number")
            except (ValueError, RecursionError):
                continue
            return told | {"n": number, "sha256": sha256(data).hexdigest()}
    raise BadError(f"no {kind}/ in it is signed by the root with this fingerprint")


@dataclass(frozen=True)
class Point:
    """The clear part of a manifest that verifies (section 8)."""

    seq: int
    sha256: str
    is_full: bool
    at: datetime
    committed_at: datetime
    next_by: datetime | None


def manifest(data: bytes, place: bytes, seq: int, trust: Mapping[str, Any]) -> Point:
    """Steps: shape; signature; place; order; the trust it names; signer; validity; revocation."""
    cursor = Cursor(data, b"drd1mani")
    clear, sealed, signer, signature = (
        cursor.blob(),
        cursor.blob(),
        cursor.take(32),
        cursor.take(64),
    )
    cursor.end()
    covered = lp(b"drd1 manifest", clear, sha256(sealed).digest())
    check_signature(signer, signature, covered)
    cursor = Cursor(clear, place + seq.to_bytes(8, "big"))
    kind, at, committed, next_by, _ = cursor.number(1), *(cursor.moment() for _ in range(4))
    flag, before, _ = cursor.number(1), cursor.number(8), cursor.take(32 + 4)
    must(seq == before + 1 and flag == bool(before), "it does not follow its predecessor")
    number, digest = cursor.number(4), cursor.take(32).hex()
    known = (trust["n"], trust["sha256"])
    must(
        number < known[0] or (number, digest) == known, "it was signed under a trust that is hidden"
    )
    must(at and committed, "it has no time")
    tenant, lineage = place[16:32].hex(), place[32:].hex()
    key = {one["key"]: one for one in trust["keys"]}.get(signer.hex(), {"roles": (), "tenants": ()})
    must(HOST in key["roles"] and tenant in key["tenants"], "trust does not name its signer")
    ends = [key.get(end) or str(committed) for end in ("not_before", "not_after")]
    first, last = map(datetime.fromisoformat, ends)
    must(first <= (committed or EPOCH) <= last, "its key was not valid then")
    own = (seq, sha256(data).hexdigest())
    limits = [(x["seq"], x["sha256"]) for x in key.get("revoked", ()) if x["lineage"] == lineage]
    spared = own in limits or any(seq < limit for limit, _ in limits)
    must(spared or not key.get("revoked_at"), "its key was revoked")
    return Point(*own, kind == FULL, at or EPOCH, committed or EPOCH, next_by)


# ── the judgement ───────────────────────────────────────────────────────────────────────────────
@dataclass
class Verdict:
    """What is to be said of one lineage: the worst finding, and all of them in words."""

    tenant: str
    lineage: str
    finding: str = "ok"
    words: list[str] = field(default_factory=list)
    newest: Point | None = None
    full: Point | None = None

    def say(self, finding: str, words: str) -> None:
        self.words.append(words)
        rank = WORST_FIRST.index
        if rank(FINDINGS[finding]) < rank(FINDINGS[self.finding]):
            self.finding = finding


class Check:
    """One look at a repository."""

    def __init__(self, store: Folder | Bucket, options: argparse.Namespace) -> None:
        self.store, self.options = store, options
        self.verdicts: list[Verdict] = []
        self.problems: list[tuple[int, str]] = []
        self.state: dict[str, Any] = {"lineages": {}}
        self.given_up = False

    def run(self, before: dict[str, Any]) -> None:
        known: dict[str, Any] = before.get("lineages", {})
        self.state = before | {"lineages": dict(known)}
        try:
            form = documents(self.store, "format", self.options.root)
            if form["version"] != 1 or form["required_features"]:
                raise Trouble("the repository's format is newer than this drd-check")
            self.trust = documents(self.store, "trust", self.options.root)
            must(self.trust["repository"] == form["repository"], "trust is of another repository")
        except (BadError, LookupError, TypeError) as error:
            raise Trouble(f"{self.options.url}: {error}", CRITICAL) from error
        self.repository = bytes.fromhex(form["repository"])
        self._compare_trust(before)
        tenants = self.options.tenant or self.trust["tenants"]
        places = [(x, y) for x in tenants for y in self.store.folders(f"m/{x}/") if is_id(y)]
        places = [one for one in places if one[1] not in self.options.ignore]
        with ThreadPoolExecutor(THREADS) as pool:
            self.verdicts = list(pool.map(lambda one: self._judge(one, known), places))
        gone = {tuple(name.split("/")) for name in known} - set(places)
        for tenant, lineage in sorted(gone):
            if tenant in tenants and lineage not in self.options.ignore:
                lost = Verdict(tenant, lineage)
                lost.say("missing", "it was here, and all its points are gone")
                self.verdicts.append(lost)
        if not self.verdicts:
            self.problems.append((WARNING, "there is no lineage in it yet"))
        if abs(self.store.skew()) > SKEW:
            ahead = (
                f"the store's clock is {self.store.skew().total_seconds():+.0f} s off this host's"
            )
            self.problems.append((WARNING, ahead))

    def _compare_trust(self, before: Mapping[str, Any]) -> None:
        now = {name: self.trust[name] for name in ("repository", "n", "sha256")}
        old = before.get("trust", now)
        if old["repository"] != now["repository"]:
            raise Trouble(f"{self.options.url} holds another repository than before", CRITICAL)
        if now["n"] < old["n"] or (now["n"] == old["n"] and now != old):
            words = f"trust went back: {now['n']} is the newest, {old['n']} was here"
            self.problems.append((CRITICAL, words))
        else:
            self.state["trust"] = now

    def _judge(self, place: tuple[str, str], known: Mapping[str, Any]) -> Verdict:
        verdict = Verdict(*place)
        if self.given_up:
            verdict.say("unknown", "not looked at")
            return verdict
        try:
            self._find(verdict)
            self._remember(verdict, known.get("/".join(place)))
            self._compare_times(verdict)
        except Trouble as trouble:
            self.given_up |= trouble.status == UNKNOWN
            verdict.say("damaged" if trouble.status == CRITICAL else "unknown", str(trouble))
        return verdict

    def _find(self, verdict: Verdict) -> None:
        place = self.repository + bytes.fromhex(verdict.tenant + verdict.lineage)
        folder = f"m/{verdict.tenant}/{verdict.lineage}/"
        names = (one for one in self.store.entries(folder) if re.fullmatch("[0-9]{10}", one[0]))
        for name, versions in islice(names, DEPTH):
            why, point = "", None
            for version in versions:
                try:
                    data = self.store.read(folder + name, version)
                    point = manifest(data, place, LAST_SEQ - int(name), self.trust)
                    break
                except (ValueError, LookupError, TypeError) as error:
                    why = str(error)
            if point is None and verdict.newest is None:
                verdict.say("damaged", f"point {LAST_SEQ - int(name)} does not verify: {why}")
            verdict.newest = verdict.newest or point
            if point and point.is_full:
                verdict.full = point
                return
        if verdict.newest is None:
            verdict.say("damaged", "no point verifies")

    def _remember(self, verdict: Verdict, old: Mapping[str, Any] | None) -> None:
        newest, seq = verdict.newest, old["seq"] if old else 0
        if newest is None or newest.seq < seq:
            if old:
                verdict.say("rollback", f"point {seq} was here and is gone or does not verify")
            return
        if old and newest.seq == seq and newest.sha256 != old["sha256"]:
            verdict.say("rollback", f"point {seq} is another one than before")
            return
        mark = {"seq": newest.seq, "sha256": newest.sha256}
        self.state["lineages"][f"{verdict.tenant}/{verdict.lineage}"] = mark

    def _compare_times(self, verdict: Verdict) -> None:
        if (newest := verdict.newest) is None:
            return
        now = here() + self.store.skew()
        at = (verdict.full or newest).at
        old = f"newest point of {at:%Y-%m-%dT%H:%M:%SZ}"
        if newest.committed_at - now > SKEW or at - now > SKEW:
            verdict.say("future", f"{old} lies in the future: a clock is wrong")
        if newest.next_by is not None:
            if now > newest.next_by:
                promised = f"the next was promised by {newest.next_by:%Y-%m-%dT%H:%M:%SZ}"
                verdict.say("late", f"{old}, {promised}")
        elif (age := now - at) > self.options.warning:
            verdict.say(
                "late" if age > self.options.critical else "old", f"{old}, nothing promised"
            )

    # ── what is told ────────────────────────────────────────────────────────────────────────────
    @property
    def status(self) -> int:
        found = {self.whole} | {FINDINGS[one.finding] for one in self.verdicts}
        return min(found, key=WORST_FIRST.index)

    @property
    def whole(self) -> int:
        return min({OK} | {status for status, _ in self.problems}, key=WORST_FIRST.index)

    def words(self) -> str:
        bad = [one for one in self.verdicts if FINDINGS[one.finding] != OK]
        bad.sort(key=lambda one: WORST_FIRST.index(FINDINGS[one.finding]))
        told = [words for _, words in self.problems]
        told += [f"{one.lineage}: {one.finding}: {'; '.join(one.words)}" for one in bad[:NAMED]]
        told += [f"and {len(bad) - NAMED} more"] * (len(bad) > NAMED)
        good = len(self.verdicts) - len(bad)
        return "; ".join([f"{good} of {len(self.verdicts)} lineages are as promised", *told])

    def counts(self) -> dict[str, int]:
        found = Counter(one.finding for one in self.verdicts)
        return {finding: found[finding] for finding in FINDINGS}

    def reply(self) -> dict[str, Any]:
        rows: list[Any] = []
        for one in self.verdicts:
            at, due = one.full and one.full.at, one.newest and one.newest.next_by
            row: dict[str, Any] = {"tenant": one.tenant, "lineage": one.lineage}
            row |= {"finding": one.finding, "words": one.words}
            row |= {"seq": one.newest and one.newest.seq}
            rows.append(row | {"point_at": at and str(at), "next_by": due and str(due)})
        return {
            "status": NAMES[self.status],
            "exit": self.status,
            "message": self.words(),
            "url": self.options.url,
            "at": str(here() + self.store.skew()),
            "skew_seconds": self.store.skew().total_seconds(),
            "problems": [{"status": NAMES[one], "message": words} for one, words in self.problems],
            "lineages": rows,
        }

    def perfdata(self) -> str:
        """Counts, the age of the oldest newest point, and the clocks' difference."""
        told = [f"{finding}={count}" for finding, count in self.counts().items()]
        points = [one.full.at for one in self.verdicts if one.full]
        if points:
            age = (here() + self.store.skew() - min(points)).total_seconds()
            limits = (self.options.warning, self.options.critical)
            told.append(
                f"age={age:.0f}s;" + ";".join(f"{one.total_seconds():.0f}" for one in limits)
            )
        return " ".join([*told, f"skew={self.store.skew().total_seconds():.0f}s"])

    def metrics(self) -> str:
        """For node_exporter's textfile collector."""
        url = self.options.url.translate(str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"}))
        rows: list[tuple[str, str, str, float]] = [
            ("status", "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN", "", self.status),
            ("repository_status", "of all but its lineages", "", self.whole),
            ("last_run_timestamp_seconds", "when drd-check looked", "", here().timestamp()),
            ("clock_skew_seconds", "store's clock ahead", "", self.store.skew().total_seconds()),
        ]
        for finding, count in self.counts().items():
            rows.append(("lineages", "lineages by finding", f',finding="{finding}"', count))
        for one in self.verdicts:
            labels = f',tenant="{one.tenant}",lineage="{one.lineage}"'
            rows.append(("lineage_status", "as status", labels, FINDINGS[one.finding]))
            times = {"recovery_point": one.full and one.full.at}
            times["promised"] = one.newest and one.newest.next_by
            for name, at in times.items():
                if at:
                    rows.append((f"{name}_timestamp_seconds", name, labels, at.timestamp()))
        text = ""
        for name, about, labels, value in sorted(rows, key=lambda row: row[0]):
            head = f"# HELP drd_check_{name} {about}\n# TYPE drd_check_{name} gauge\n"
            text += head * (head not in text) + f'drd_check_{name}{{url="{url}"{labels}}} {value}\n'
        return text


# ── the command line ────────────────────────────────────────────────────────────────────────────
def is_id(text: str) -> bool:
    """Whether *text* is the id of a tenant or a lineage."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def duration(text: str) -> timedelta:
    """``90m``, ``26h``, ``2d``, ``1w``, or seconds."""
    found = re.fullmatch("([0-9]{1,9})([smhdw]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 26h")
    unit = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[found[2]]
    return timedelta(seconds=int(found[1]) * unit)


def fingerprint(text: str) -> bytes:
    """64 hex digits, as the sheet has them, or a file that holds them."""
    try:
        given = Path(text).read_text("ascii") if Path(text).is_file() else text
    except (OSError, ValueError):
        given = ""
    digits = re.sub("[\\s:-]", "", given).lower()
    if re.fullmatch("[0-9a-f]{64}", digits):
        return bytes.fromhex(digits)
    raise argparse.ArgumentTypeError("is neither 64 hex digits nor a file that holds them")


class Parser(argparse.ArgumentParser):
    """Wrong usage is UNKNOWN to Nagios, not CRITICAL."""

    def error(self, message: str) -> NoReturn:
        print(f"DRD UNKNOWN - usage: {message} (drd-check --help)")
        sys.exit(UNKNOWN)


def parser() -> Parser:
    """What may be typed."""
    made = Parser(
        "drd-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    state = os.environ.get("STATE_DIRECTORY")
    made.add_argument(
        "--url", required=True, help="of the repository: s3://BUCKET/PREFIX, a folder"
    )
    made.add_argument("--root", required=True, type=fingerprint, help="fingerprint, or its file")
    made.add_argument("--endpoint", default="", help="of the S3 service: https://HOST[:PORT]")
    made.add_argument("--region", default="us-east-1")
    made.add_argument("--ca-bundle", metavar="FILE", help="certificates to trust, PEM")
    made.add_argument("--access-key-file", metavar="FILE")
    made.add_argument("--secret-key-file", metavar="FILE")
    made.add_argument("--tenant", action="append", metavar="ID", help="these alone (repeatable)")
    made.add_argument("--ignore", action="append", default=[], metavar="ID", help="lineages let be")
    for name, age in (("--warning", "26h"), ("--critical", "50h")):
        about = f"age of a newest point after which nothing was promised (default {age})"
        made.add_argument(name, type=duration, default=age, metavar="AGE", help=about)
    for name, file in (("--state", "state.json"), ("--textfile", "drd-check.prom")):
        place = state and str(Path(state, file))
        made.add_argument(name, metavar="FILE", default=place, help=f"in systemd: {file}")
    made.add_argument("--json", action="store_true", help="all of it as one JSON object")
    return made


def s3_keys(options: argparse.Namespace) -> list[str]:
    """Access key, secret key, token."""
    folder, found = os.environ.get("CREDENTIALS_DIRECTORY", ""), list[str]()
    chosen = {"access": options.access_key_file, "secret": options.secret_key_file}
    for name, variable in (("access", "AWS_ACCESS_KEY_ID"), ("secret", "AWS_SECRET_ACCESS_KEY")):
        files = [chosen[name]] if chosen[name] else []
        files += map(str, Path(folder).glob(f"*s3.{name}")) if folder else []
        try:
            key = Path(files[0]).read_text("utf-8") if files else os.environ.get(variable, "")
        except (OSError, ValueError) as error:
            raise Trouble(f"the {name} key cannot be read: {error}") from error
        if not key.strip():
            raise Trouble(f"no {name} key: give --{name}-key-file, or {variable}")
        found.append(key.strip())
    return [*found, os.environ.get("AWS_SESSION_TOKEN", "")]


def replace(path: Path, text: str, mode: int) -> None:
    """All of it or nothing."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        os.fchmod(number, mode)
        file.write(text)
    Path(name).replace(path)


def look(check: Check) -> None:
    """Look, and remember."""
    path = Path(check.options.state or os.devnull)
    try:
        before = json.loads(path.read_text("utf-8") or "{}") if path.exists() else {}
        must(isinstance(before, dict), "it is no JSON object")
        check.run(before)
        if check.options.state:
            replace(path, json.dumps(check.state, indent=1), 0o600)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Trouble(f"--state {path} cannot be used: {error!r}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole; the exit code is Nagios'."""
    options = parser().parse_args(arguments)
    scheme, _, place = options.url.rpartition("://")
    check = Check(Folder(Path(unquote(place))), options)
    try:
        if scheme == "s3":
            check.store = Bucket(place, s3_keys(options), options)
        look(check)
    except Trouble as trouble:
        check.problems.append((trouble.status, str(trouble)))
    finally:
        check.store.close()
    try:
        if options.textfile:
            replace(Path(options.textfile), check.metrics(), 0o644)
    except OSError as error:
        check.problems.append((UNKNOWN, f"--textfile {options.textfile}: {error}"))
    if options.json:
        print(json.dumps(check.reply(), indent=1))
    else:
        print(f"DRD {NAMES[check.status]} - {check.words()} | {check.perfdata()}")
    return check.status


if __name__ == "__main__":
    sys.exit(main())
