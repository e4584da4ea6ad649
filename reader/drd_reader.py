"""Restore from a drd repository without drd, on a bare machine with Python 3.11, at 3 am.

    python3 -m venv r && r/bin/pip install 'cryptography>=50' zstandard blake3
    export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...        (s3:// only)
    r/bin/python drd_reader.py URL --sheet sheet.txt [--endpoint https://HOST] [--region R]
    r/bin/python drd_reader.py URL --sheet sheet.txt [...] 'SOURCE/IMAGE' OUT

URL is FOLDER, file:///FOLDER or s3://BUCKET/PREFIX. sheet.txt is the recovery sheet, or its numbered
lines typed off the paper; a key file does as well. Without OUT it lists points. With OUT it restores
the newest, or that of 'SOURCE/IMAGE@17', into a sparse file OUT.partial, and renames that when every
digest fits; damage is named. Whoever runs the store may hide the newest points: know their numbers.

Exit codes: 0 done, 1 failed, 2 usage, 10 no such point or repository, 11 damage, 12 keys missing or
wrong, 13 repository unreachable, 15 refused. docs/format.md describes all bytes that are read here.
"""
# ruff: noqa: D101, D102, D103, E731, PLR0917, PLR2004 - names and numbers are those of docs/format.md
# mypy: disable-error-code="explicit-override"

from __future__ import annotations

import argparse
import hmac
import json
import os
import re
import sys
import time
import tomllib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from hashlib import sha256 as hashed
from http.client import HTTPException
from itertools import accumulate, islice
from pathlib import Path
from typing import Any
from urllib import error, parse, request

from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from zstandard import ZstdDecompressor, ZstdError

WINDOW, LAST_SEQ, MASK, SIZE_CELL = 1 << 22, 9_999_999_999, (1 << 32) - 1, (1 << 64) - 1
TABLES = (b"", b"run ", b"shrd", b"dgst", b"item", b"pckt", b"roll")
THREADS, KEPT, PIECE = 16, 256, 64  # requests at once, frames kept, cells restored in one go
CROCKFORD, BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", "0123456789ABCDEFGHIJKLMNOPQRSTUV"
BIP173 = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
F = Callable[..., Any]

u: F = lambda width, number: number.to_bytes(width, "big")
lp: F = lambda *parts: b"".join(u(4, len(part)) + part for part in parts)
sha256: F = lambda data: hashed(data).digest()
public_key: F = ed25519.Ed25519PublicKey.from_public_bytes
derive: F = lambda secret, salt, info: HKDF(SHA256(), 64, salt, info).derive(secret)
plus: F = lambda a, b: a + b & MASK
climb: F = lambda moved, sizes: accumulate(map(plus, moved, (0, *sizes)), plus)  # section 7
say: F = lambda text: print(text, file=sys.stderr, flush=True)


class Failure(ValueError):  # noqa: N818 - damage, unless another exit code is given
    def __init__(self, message: str, code: int = 11) -> None:
        super().__init__(message)
        self.code = code


BAD = (LookupError, ValueError, TypeError, RecursionError, InvalidTag, InvalidSignature, ZstdError)


def must(true: object, why: str, code: int = 11) -> None:
    if not true:
        raise Failure(why, code)


class Cursor:  # takes values from the front of data (section 1); end() when nothing may be left
    def __init__(self, data: bytes, front: bytes = b"") -> None:
        self.data, self.at = data, 0
        must(self.take(len(front)) == front, "of another kind or place")

    def take(self, count: int) -> bytes:
        self.at += count
        must(self.at <= len(self.data), "cut off")
        return self.data[self.at - count : self.at]

    u: F = lambda self, width: int.from_bytes(self.take(width), "big")
    blob: F = lambda self: self.take(self.u(4))
    deltas: F = lambda self: array("I", accumulate(self.column(), plus))
    last: F = lambda self: (self.blob(), self.end())[0]
    end: F = lambda self: must(self.at == len(self.data), "bytes are left over")

    def column(self) -> array[int]:
        raw = bytearray(4 * (count := self.u(4)))
        for place in range(4):
            raw[place::4] = self.take(count)
        return array("I", bytes(raw))


class Store:  # objects in a folder
    def __init__(self, place: str) -> None:
        self.place, self.locked, self.listed = place, False, cache(self.find)

    def find(self, folder: str) -> dict[str, list[str]]:  # keys with their versions, oldest first
        paths = (path for path in Path(self.place, folder).rglob("*") if path.is_file())
        return {str(path.relative_to(self.place)): [""] for path in paths}

    def read(self, key: str, _: str, start: int = 0, length: int = -1) -> bytes:
        with Path(self.place, key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def keys(self, prefix: str) -> list[str]:  # numbers ascending
        keys = [key for key in self.listed(prefix.rpartition("/")[0]) if key.startswith(prefix)]
        return sorted(keys, key=lambda key: (len(key), key))

    def good(self, key: str, check: F) -> Any:  # what check makes of the first version it accepts
        trouble = Failure(f"{key} is not there")
        for version in self.listed(key.rpartition("/")[0]).get(key, ()):
            try:
                return check(key, version)
            except BAD as wrong:
                trouble = Failure(f"{key}: {str(wrong) or 'bad tag'}", getattr(wrong, "code", 11))
        raise trouble

    def every(self, keys: Iterable[str], check: F) -> Iterator[Any]:  # the same of many keys
        for key in keys:
            try:
                yield self.good(key, check)
            except Failure as wrong:
                self.locked |= wrong.code == 12
                say(f"warning: ignored: {wrong}")


class Bucket(Store):  # S3 with GET alone, path-style, AWS Signature Version 4
    def __init__(self, place: str, args: Any) -> None:
        super().__init__("/" + place.strip("/") + "/")
        self.region, self.endpoint = args.region, args.endpoint.rstrip("/")
        self.endpoint = self.endpoint or f"https://s3.{self.region}.amazonaws.com"
        names = [f"AWS_{x}" for x in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")]
        self.id, self.secret, token = (os.environ.get(name, "") for name in names)
        self.token = {"X-Amz-Security-Token": token} if token else {}
        must(self.id and self.secret, f"set {names[0]} and {names[1]}", 2)

    def find(self, folder: str) -> dict[str, list[str]]:  # also what is below delete markers
        bucket, _, prefix = self.place[1:].partition("/")
        query, text = {"versions": "", "prefix": f"{prefix}{folder}/"}, "<IsTruncated>true<"
        found: dict[str, list[str]] = {}
        while "<IsTruncated>true<" in text:
            text = self.get(f"/{bucket}", query).decode()
            for entry in re.findall("<Version>(.*?)</Version>", text, re.DOTALL):
                field = dict(re.findall("<(Key|VersionId)>([^<]*)<", entry))
                key = field["Key"].removeprefix(prefix)
                found.setdefault(key, []).insert(0, field["VersionId"])  # S3 has the newest first
            for name, mark in re.findall("<Next(Key|VersionId)Marker>([^<]+)<", text):
                query[f"{name.lower().replace('id', '-id')}-marker"] = mark
        return found

    def read(self, key: str, version: str, start: int = 0, length: int = -1) -> bytes:
        end = start + length - 1 if length >= 0 else ""
        return self.get(self.place + key, {"versionId": version}, f"bytes={start}-{end}")

    def get(self, path: str, query: dict[str, str], span: str = "bytes=0-") -> bytes:
        told = ""
        for attempt in range(6):
            time.sleep((2**attempt - 1) / 4)  # noqa: TID251 - nothing to interrupt
            call = request.Request(self.signed(path, query), headers={"range": span})  # noqa: S310
            try:
                with request.urlopen(call, timeout=60) as answer:  # noqa: S310
                    return bytes(answer.read())
            except error.HTTPError as wrong:
                told = f"{wrong} {wrong.read().decode(errors='replace')}"
                must(wrong.code not in {404, 416} or "NoSuchBucket" in told, f"{path}: {told}")
                if wrong.code < 500:
                    break
            except (OSError, HTTPException) as wrong:
                told = str(wrong)
        raise ConnectionError(f"{self.endpoint}{path}: {told}")

    def signed(self, path: str, query: dict[str, str]) -> str:  # an address good for ten minutes
        now, path = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), parse.quote(path, "/-_.~")
        scope, key = f"{now[:8]}/{self.region}/s3/aws4_request", b"AWS4" + self.secret.encode()
        query = query | {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-SignedHeaders": "host"}
        query |= {"X-Amz-Credential": f"{self.id}/{scope}", "X-Amz-Date": now}
        query |= {"X-Amz-Expires": "600"} | self.token
        line = parse.urlencode(sorted(query.items()), quote_via=parse.quote, safe="-_.~")
        host = f"host:{parse.urlsplit(self.endpoint).netloc}\n\nhost"
        message = f"GET\n{path}\n{line}\n{host}\nUNSIGNED-PAYLOAD"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{sha256(message.encode()).hex()}"
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return f"{self.endpoint}{path}?{line}&X-Amz-Signature={key.hex()}"


def hybrid(private: bytes) -> tuple[F, bytes]:  # what opens with it, its public half (section 5)
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(private[:64])
    dh = x25519.X25519PrivateKey.from_private_bytes(private[64:])
    both = hpke.MLKEM768X25519PrivateKey(kem, dh)
    public = kem.public_key().public_bytes_raw() + dh.public_key().public_bytes_raw()
    return lambda sealed, info: suite.decrypt(sealed, both, info), public


def read_keys(text: str) -> tuple[Any, ...]:  # a key file, or lines of a sheet (docs/keys.md)
    if "\n[open]" in text:
        file = tomllib.loads(text)
        metadata, private = (bytes.fromhex(file["open"][x]) for x in ("metadata", "generations"))
        slot = "keyfile-" + sha256(hybrid(metadata)[1] + hybrid(private)[1]).hex()[:16]
        repository, root = (bytes.fromhex(file[x]) for x in ("repository", "root_fingerprint"))
        return repository, root, {"metadata": metadata, "generation": private}, slot
    typed, rows = str.maketrans("OILU", "011V", " -\t\r"), {}
    text = re.sub(r"(?im)^\s*DRD1 .*", lambda code: "\n".join(code[0].split()), text).upper()
    for label, content in re.findall(r"(?m)^\s*([4-7][0-9OIL])\s*:(.*)", text):
        line, symbols, rest = int(label.translate(typed)), content.translate(typed), 1
        for symbol in (*divmod(line, 10), *map(CROCKFORD.find, symbols)):
            top, rest = rest >> 25, (rest & 0x1FFFFFF) << 5 ^ symbol
            for bit, part in enumerate(BIP173):
                rest ^= part * (top >> bit & 1)
        must(rest == 0x2BC830A3, f"line {line} of the sheet is wrong: compare it", 12)  # BIP 350
        rows[line] = u(16, int(symbols[:-6].translate(str.maketrans(CROCKFORD, BASE32)), 32) >> 2)
    if {71, 72} <= rows.keys():  # the square code leaves out what follows from the root's key
        signer = ed25519.Ed25519PrivateKey.from_private_bytes(rows[71] + rows[72]).public_key()
        rows[51], rows[52] = sha256(signer.public_bytes_raw()), b""
    missing = [line for line in (41, 51, 52, *range(61, 67)) if line not in rows]
    must(not missing, f"lines {missing} of the sheet are missing (61 to 66 open the backups)", 12)
    private = b"".join(rows[line] for line in range(61, 67))
    slot = "recovery-" + sha256(hybrid(private)[1]).hex()[:16]
    return rows[41], rows[51] + rows[52], {"metadata": private, "generation": private}, slot


def open_part(key: bytes, header: bytes, i: int, count: int, stored: bytes, plain: int) -> bytes:
    aad = header + u(4, i) + u(4, plain) + u(1, i == count - 1)  # sections 3 and 6
    data = AESGCM(key).decrypt(u(12, i), stored, aad)
    if len(data) != plain:
        data = ZstdDecompressor().decompress(data, max_output_size=plain)
    must(len(data) == plain, "of another length")
    return data


def lineages(store: Store, keys: tuple[Any, ...]) -> Iterator[Lineage]:
    def check(key: str, version: str) -> dict[str, Any]:  # of documents of the root (section 4)
        kind, _, number = key.partition("/")
        c = Cursor(store.read(key, version), b"drd1sign" + lp(kind.encode()))
        body, signer, signature, _ = c.blob(), c.take(32), c.take(64), c.end()
        public_key(signer).verify(signature, lp(b"drd1 " + kind.encode(), body))
        document: dict[str, Any] = json.loads(body) | {"sha256": sha256(c.data)}
        must((bytes.fromhex(document["repository"]), sha256(signer)) == keys[:2], "of a stranger")
        must(document.get("n", int(number)) == int(number), "it has another number")
        return document

    must(store.keys("format/"), "there is no repository here", 10)
    kinds = (reversed(store.keys(kind)) for kind in ("format/", "trust/"))  # the newest first
    form, trust = (next(store.every(found, check), dict[str, Any]()) for found in kinds)
    must(form and trust, "the repository is damaged, or your keys are of another one", 12)
    must(form["version"] == 1 and not form["required_features"], "the format is too new", 15)
    found = re.findall(r"(?m)^m/([0-9a-f]{32}/[0-9a-f]{32})/", "\n".join(store.keys("m/")))
    return (Lineage(store, keys, trust, x) for x in sorted({*found}) if x[:32] in trust["tenants"])


class Lineage:
    def __init__(self, store: Store, keys: tuple[Any, ...], trust: Any, folder: str) -> None:
        self.store, self.keys, self.trust, self.folder = store, keys, trust, folder
        self.ids = (keys[0], *map(bytes.fromhex, folder.split("/")))
        self.secrets = cache(self.open_slots)

    def open_slots(self, purpose: str, generation: int) -> list[bytes]:  # the newest first (5)
        holder, opens = self.keys[3], hybrid(self.keys[2][purpose])[0]
        context = lp(b"drd1 slot", *self.ids) + lp(u(4, generation), purpose.encode())
        prefix = f"k/{self.folder}/{'m' * (purpose == 'metadata')}{generation}.{holder}."
        front, info = b"drd1slot" + lp(context, holder.encode()), lp(b"drd1 slot", context)
        check: F = lambda key, v: opens(Cursor(self.store.read(key, v), front).last(), info)
        secrets = list(self.store.every(reversed(self.store.keys(prefix)), check))
        must(secrets, f"your keys open no slot {prefix}*", 12)
        return secrets

    def unseal(self, kind: bytes, name: bytes, data: bytes, proof: bytes = b"") -> tuple[Cursor, F]:
        must(proof in {b"", u(8, len(data)) + sha256(data)}, "it is not what the manifest names")
        c = Cursor(data, b"drd1" + kind)  # section 3
        body = Cursor(c.blob(), b"".join(self.ids) + name)
        secrets = self.secrets("metadata", body.u(4))
        salt, commitment = body.take(16), body.take(32)
        keys = [derive(one, salt, lp(b"drd1 " + kind, *self.ids)) for one in secrets]
        key, header = [key[:32] for key in keys if key[32:] == commitment], sha256(data[: c.at])
        must(key, "no metadata key of yours fits its commitment")
        sizes = [(body.u(4), body.u(4)) for _ in range(body.u(4))]
        clear, _ = Cursor(body.blob()), body.end()
        parts, _ = [(c.take(stored), plain) for stored, plain in sizes], c.end()
        return clear, lambda i: Cursor(open_part(key[0], header, i, len(parts), *parts[i]))

    def points(self, end: str = "") -> Iterator[Point]:  # full ones, the newest first
        keys = self.store.keys(f"m/{self.folder}/{end}")
        return (one for one in self.store.every(keys, partial(Point, self)) if one.is_full)

    def table(self, reference: tuple[Any, ...]) -> tuple[Any, ...]:
        kind, _, through, name, proof, _ = reference
        check: F = lambda key, v: self.unseal(kind, name, self.store.read(key, v), proof)
        clear, section = self.store.good(f"x/{self.folder}/{name.hex()}", check)
        c = section(0)
        index = {(c.u(1), c.u(4)): number + 1 for number in range(c.u(4))}
        return through, index, section, clear


class Point:  # a manifest (section 8) whose signer trust vouches for (section 4)
    def __init__(self, lineage: Lineage, key: str, version: str) -> None:
        self.lineage, self.seq = lineage, LAST_SEQ - int(key[-10:])
        data = lineage.store.read(key, version)
        must(key == f"m/{lineage.folder}/{LAST_SEQ - self.seq:010}", "no name of a manifest")
        c = Cursor(data, b"drd1mani")
        clear, sealed, signer, signature, _ = c.blob(), c.blob(), c.take(32), c.take(64), c.end()
        public_key(signer).verify(signature, lp(b"drd1 manifest", clear, sha256(sealed)))
        c = Cursor(clear, b"".join(lineage.ids) + u(8, self.seq))
        self.is_full = c.u(1) == 1
        self.at, committed = (datetime.fromtimestamp(c.u(8) / 1e6, UTC) for _ in range(2))
        _, before, _, number, digest = c.take(17), c.u(8), c.take(36), c.u(4), c.take(32)
        known, _ = (lineage.trust["n"], lineage.trust["sha256"]), c.take(4)
        must(self.seq == before + 1, "it does not follow its predecessor")
        must(number < known[0] or (number, digest) == known, "of a trust that is not here")
        row: F = lambda: (TABLES[c.u(1)], c.u(4), c.take(1) and c.u(8), c.take(16), c.take(40))
        self.references = [(*row(), c.blob()) for _ in range(c.u(4))]  # see Lineage.table
        _ = c.take((8 + 1 + 32 + 8) * c.u(4)), c.end()
        tenant, name = lineage.folder.split("/")
        entry = {one["key"]: one for one in lineage.trust["keys"]}.get(signer.hex(), {"roles": ()})
        must("host" in entry["roles"] and tenant in entry["tenants"], "trust names its signer not")
        ends = [entry.get(end) or str(committed) for end in ("not_before", "not_after")]
        first, last = map(datetime.fromisoformat, ends)
        limits, own = entry.get("revoked", ()), (self.seq, sha256(data).hex())
        limits = [(one["seq"], one["sha256"]) for one in limits if one["lineage"] == name]
        good = own in limits or any(self.seq < seq for seq, _ in limits)
        must(first <= committed <= last and (good or not entry.get("revoked_at")), "revoked")
        section = lineage.unseal(b"mani", u(16, self.seq), sealed)[1]
        self.facts = dict[str, Any](json.loads(section(0).data))
        self.name, self.size = str(self.facts["name"]), int(self.facts["size"])


class Restore:  # of one point into a file (sections 6, 7 and 9)
    def __init__(self, point: Point) -> None:
        self.point, self.lineage, self.damaged = point, point.lineage, 0
        self.block, self.cell, ids = point.facts["block"], point.facts["cell"], point.lineage.ids
        secret = bytes.fromhex(point.facts["digest_key"])
        self.keys = derive(secret, ids[2], lp(b"drd1 digest", *ids))  # of cells, of the root
        self.pack, self.frame = cache(self.open_pack), lru_cache(KEPT)(self.open_frame)
        self.runs = sorted(self.tables(b"run ", 0), key=lambda run: int(run[0]))
        self.rows: dict[int, tuple[Any, ...]] = {}
        for _, index, section, clear in (*self.runs, *self.tables(b"pckt", 0)):
            c = section(index[4, 0]) if (4, 0) in index else Cursor(bytes(8))
            epochs = [(c.take(16), c.u(4), c.take(32), c.blob()) for _ in range(c.u(4))]
            must(c.u(4) == (count := clear.u(4)), "half of a pack's row is missing")
            for _ in range(count):
                ordinal, name, _, _ = clear.u(4), clear.take(16), clear.take(44), clear.blob()
                must(c.u(4) == ordinal and ordinal not in self.rows, "the rows of packs differ")
                self.rows[ordinal] = (name, epochs[c.u(4)], c.take(32), c.take(32), c.u(4))

    def tables(self, kind: bytes, number: int) -> list[tuple[Any, ...]]:
        mine = [one for one in self.point.references if one[:2] == (kind, number)]
        return [self.lineage.table(one) for one in mine]

    def open_pack(self, ordinal: int) -> tuple[str, bytes, bytes, int]:
        name, (epoch, generation, public, sealed), commitment, header, frames = self.rows[ordinal]
        mine = map(hybrid, self.lineage.secrets("generation", generation))
        opens: Any = {sha256(half): opens for opens, half in mine}.get(public)
        must(opens, f"no key of yours is the private half of generation {generation}", 12)
        info = lp(b"drd1 epoch", *self.lineage.ids) + u(4, generation) + lp(epoch)
        key = derive(opens(sealed, info), name, lp(b"drd1 pack", *self.lineage.ids))
        must(key[32:] == commitment, f"the commitment of pack {name.hex()} does not fit")
        return f"p/{self.lineage.folder}/{name.hex()}", key[:32], header, frames

    def open_frame(self, pack: int, i: int, at: int, stored: int, plain: int) -> bytes:
        name, key, header, count = self.pack(pack)
        read = self.lineage.store.read
        check: F = lambda x, v: open_part(key, header, i, count, read(x, v, at, stored), plain)
        try:
            return bytes(self.lineage.store.good(name, check))
        except Failure as wrong:  # the digests of its cells will not fit
            say(f"damaged: frame {i}: {wrong}")
            return bytes(plain)

    def layers(self, kind: bytes, what: int, number: int) -> Iterator[Cursor]:  # oldest first
        base = self.tables(kind, number)
        newest = max((table[0] for table in base), default=-1)
        runs = [run for run in self.runs if run[0] > newest and (what, number) in run[1]]
        return (section(index[what, number]) for _, index, section, _ in (*base, *runs))

    def extents(self) -> list[tuple[int, int]]:  # of the item: first cell, cells
        item, found = self.point.facts["item"], list[tuple[int, int]]()
        for c in self.layers(b"item", 3, item // 16384):
            for _ in range(c.u(4)):
                number, _, _, _ = c.u(4), c.u(1), c.blob(), c.u(8)
                extents = [(c.u(8), c.u(8)) for _ in range(c.u(4))]
                found = extents if number == item else found
        return found

    def map(self, window: int) -> tuple[Any, ...]:
        entries = array("I", bytes(4 * WINDOW))  # of each block: 0 for zeros, 1 + place on the line
        frames, starts = list[tuple[int, ...]](), [0]
        for c in self.layers(b"shrd", 1, window):
            line, packs, numbers = starts[-1], c.deltas(), c.deltas()
            moved, stored, plain = c.column(), c.column(), c.column()
            frames += zip(packs, numbers, climb(moved, stored), stored, plain, strict=True)
            starts += [line + x for x in accumulate(size // self.block for size in plain)]
            moved, flags, places, _ = c.column(), c.column(), c.column(), c.end()
            counts = [flag >> 1 for flag in flags]
            data = climb(places, [flag >> 1 for flag in flags if not flag & 1])
            for first, count, flag in zip(climb(moved, counts), counts, flags, strict=True):
                at = 0 if flag & 1 else 1 + line + next(data)
                new = range(at, at + count) if at else bytes(4 * count)
                entries[first : first + count] = array("I", new)
        must(len(entries) == WINDOW, "an extent outside its window")
        return entries, frames, starts

    def digests(self, window: int) -> dict[int, int]:
        pairs: F = lambda c: zip(c.deltas(), array("Q", c.take(8 * c.u(4))), strict=True)
        return {cell: one for c in self.layers(b"dgst", 2, window) for cell, one in pairs(c)}

    def term(self, cell: int, digest: int) -> int:  # of the root digest (9)
        message = u(4, self.point.facts["item"]) + u(8, cell) + u(8, digest)
        return int.from_bytes(blake3(message, key=self.keys[32:]).digest(), "big")

    def piece(self, file: int, known: tuple[Any, ...], shift: int, cells: range) -> int:
        (entries, frames, starts, digests), size, root = known, self.block, 0
        per = self.cell // size
        for cell in cells:  # of the window; shift leads to the item's
            row, digest = entries[cell * per : (cell + 1) * per], digests.get(cell, 0)
            if not digest and not any(row):
                continue
            data, at = bytearray(self.cell), (cell + shift) * self.cell
            for i, entry in enumerate(row):
                if entry:
                    n = bisect_right(starts, entry - 1) - 1
                    skip = (entry - 1 - starts[n]) * size
                    data[i * size : (i + 1) * size] = self.frame(*frames[n])[skip : skip + size]
            value = int.from_bytes(blake3(data, key=self.keys[:32]).digest(8), "little") or 1
            if digest != (value if data.count(0) < self.cell else 0):
                say(f"damaged: bytes {at} to {min(at + self.cell, self.point.size)}")
                self.damaged += 1
            elif digest:
                root += self.term(cell + shift, digest)
                data = data[: max(0, self.point.size - at)]
                must(os.pwrite(file, data, at) == len(data), "the disk is full", 1)
        return root

    def run(self, out: Path) -> None:
        own, whole, part = 0, WINDOW * self.block // self.cell, out.with_name(out.name + ".partial")
        must(not (out.exists() or part.exists()), f"{out} or {part} is there already", 15)
        root = self.term(SIZE_CELL, self.point.size)
        with part.open("xb") as file, ThreadPoolExecutor(THREADS) as pool:
            file.truncate(self.point.size)
            for first, count in self.extents():
                for window in range(first // whole, -(-(first + count) // whole)):
                    base, known = window * whole, (*self.map(window), self.digests(window))
                    cells = range(max(first - base, 0), min(first + count - base, whole))
                    one = partial(self.piece, file.fileno(), known, base + own - first)
                    parts = (cells[x : x + PIECE] for x in range(0, len(cells), PIECE))
                    root += sum(pool.map(one, parts))
                own += count
            must(not self.damaged, f"{self.damaged} cells are damaged")
            must(u(32, root % (1 << 256)).hex() == self.point.facts["root"], "another root digest")
            os.fsync(file.fileno())
        part.rename(out)
        say(f"proven: {self.point.name}@{self.point.seq} of {self.point.at:%FT%TZ}")


def main() -> int:
    parser, code = argparse.ArgumentParser(usage=__doc__), 12
    parser.add_argument("url")
    for name in ("point", "out"):
        parser.add_argument(name, nargs="?", default="")
    for name, default in {"--sheet": None, "--endpoint": "", "--region": "us-east-1"}.items():
        parser.add_argument(name, default=default, required=default is None)
    args = parser.parse_intermixed_args()
    try:
        keys, code = read_keys(Path(args.sheet).read_text()), 11
        scheme, _, place = args.url.rpartition("://")
        store = Bucket(place, args) if scheme == "s3" else Store(parse.unquote(place))
        name, seq = re.findall(r"(?s)^(.*?)(?:@(?:(\d+)|latest))?\Z", args.point)[0]
        heads = [head for one in lineages(store, keys) for head in islice(one.points(), 1)]
        heads = [head for head in heads if name in {"", head.name, head.lineage.folder[33:]}]
        must(heads, f"there is no point of {name!r}", 12 if store.locked else 10)
        if args.out:
            newest = max(heads, key=lambda head: head.at).lineage  # of those that had the name
            points = list(islice(newest.points(seq and f"{LAST_SEQ - int(seq):010}"), 1))
            must(points, f"there is no point {args.point}: without OUT all are listed", 10)
            Restore(points[0]).run(Path(args.out))
        for head in () if args.out else heads:
            for x in islice(head.lineage.points(), None if name else 1):
                print(f"{x.lineage.ids[2].hex()} {x.at:%FT%TZ} {x.size:15} {x.name}@{x.seq}")
    except (OSError, *BAD) as bad:
        say(f"failed: {bad!s}" if str(bad) else f"failed: {bad!r}")
        code = 1 if isinstance(bad, OSError) and code == 11 else code
        code = 13 if isinstance(bad, ConnectionError) else code
        return int(getattr(bad, "code", code))
    return 0


if __name__ == "__main__":
    sys.exit(main())
