"""What every store must do: one check for each MUST sentence of ``drd.ports.Store``.

A check is a function of a store and a folder of its own in it. It returns when the store keeps its
word, raises ``BrokenContractError`` when it does not, and lets the store's own errors through. It
works below ``probe/`` and a random name and removes all of that in the end, so ``drctl doctor`` can
run the list against an operator's bucket; it needs the right to delete below ``probe/``.

``CHECKS`` moves a few MiB. ``BIG_CHECKS`` moves some hundred. ``marker_hides_nothing`` needs somebody
who makes a delete marker, which no store of drd's can do.

Durability cannot be seen from outside: the unit tests of each store show what it syncs.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Final, TypeAlias

from drd.errors import ObjectExistsError, ObjectMissingError, RefusedError, StoreError
from drd.model import Buffer, ObjectVersion
from drd.ports import Store

Check: TypeAlias = Callable[[Store], None]

_FOLDER: Final = "probe/"
_THREADS: Final = 8
_MIB: Final = 1 << 20
_PACK: Final = 64 * _MIB
_MAX_KEY: Final = 512
_CLOCK_STEP: Final = timedelta(seconds=1)
"""Stores tell times to the second in one answer, and finer in another (RFC 9110, 5.6.7)."""


class BrokenContractError(StoreError):
    """The store answers, and not as it must."""

    code = "store-contract"


def erase(store: Store, prefix: str) -> None:
    """Remove every version of everything below *prefix*, the newest ones first."""
    gone: set[tuple[str, str]] = set()
    with ThreadPoolExecutor(_THREADS) as pool:
        while left := [(entry.key, entry.version) for entry in store.list(prefix)]:
            _must(gone.isdisjoint(left), "what was deleted must not be listed")
            gone.update(left)
            for done in [pool.submit(store.delete, key, version=id_) for key, id_ in left]:
                done.result()


def _named(check: Callable[[Store, str], None]) -> tuple[str, Check]:
    """Give *check* its own folder, and the first line of its docstring as its name."""

    @functools.wraps(check)
    def run(store: Store) -> None:
        folder = f"{_FOLDER}{secrets.token_hex(8)}/"
        try:
            check(store, folder)
        except BaseException:
            with suppress(StoreError):  # the first failure is the one to tell
                erase(store, folder)
            raise
        erase(store, folder)

    return (check.__doc__ or "").split("\n")[0], run


def _must(holds: bool, sentence: str) -> None:  # noqa: FBT001  reads as "it must …"
    if not holds:
        raise BrokenContractError(f"the store breaks its contract: {sentence}")


def _must_raise(kind: type[Exception], call: Callable[[], object], sentence: str) -> None:
    try:
        call()
    except kind:
        return
    raise BrokenContractError(f"the store breaks its contract: {sentence}")


def _keys(found: Sequence[ObjectVersion], folder: str) -> list[str]:
    return [entry.key.removeprefix(folder) for entry in found]


def _together(work: Callable[[int], None]) -> None:
    """Run *work* in several threads that begin at one moment; raise what any of them raised."""
    start = Barrier(_THREADS)

    def one(number: int) -> None:
        start.wait(timeout=60)
        work(number)

    with ThreadPoolExecutor(_THREADS) as pool:
        for done in [pool.submit(one, number) for number in range(_THREADS)]:
            done.result()


# ── keys ────────────────────────────────────────────────────────────────────────────────────────


def refuses_what_is_no_key(store: Store, at: str) -> None:
    """A name that is no key is refused by every method, before any effect."""
    component = "c" * 100
    bad = ["", "/a", "a//b", "a/", ".", "..", "a/../b", "a/./b", "a b", "ä", "a\n", "a\0b", "a\\b"]
    bad += ["a~b", "a%2fb", f"{'/'.join([component] * 5)}/{'d' * 20}"]
    for name in bad:
        key = f"{at}{name}" if name and not name.startswith("/") else name
        calls: list[Callable[[str], object]] = [
            lambda key: store.put(key, b"1"),
            store.get,
            store.stat,
            store.versions,
            store.delete,
        ]
        for call in calls:
            _must_raise(RefusedError, functools.partial(call, key), f"{key!r} must be refused")
    for prefix in ("/", "a//", "../", "a b"):
        call = functools.partial(store.list, prefix)
        _must_raise(RefusedError, call, f"a list below {prefix!r} must be refused")
    _must_raise(
        RefusedError, lambda: store.folders(at[:-1]), "folders below no folder must be refused"
    )
    _must(not list(store.list(at)), "a refused name must leave nothing behind")


def takes_every_key(store: Store, at: str) -> None:
    """Every character that a key may have, and the longest key, can be written and read."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
    longest = at + "/".join("k" * 100 for _ in range(6))
    longest = longest[:_MAX_KEY].rstrip("/").ljust(_MAX_KEY, "z")
    for key in (f"{at}{letters}", f"{at}.hidden", f"{at}-", f"{at}...", longest):
        store.put(key, key.encode())
        _must(store.get(key) == key.encode(), f"{key!r} must be readable")
    _must(longest in {o.key for o in store.list(at)}, "the longest key must be listed")


# ── put and get ─────────────────────────────────────────────────────────────────────────────────


def gives_back_what_was_put(store: Store, at: str) -> None:
    """Every kind of buffer, of any length, comes back byte for byte; later changes do not matter."""
    body = bytearray(range(256)) * 1200  # more than the S3 store sends in one piece
    whole: list[Buffer] = [b"", b"\0", bytes(body), body, memoryview(body)[1:-1], body[:1]]
    for number, data in enumerate(whole):
        store.put(f"{at}{number}", data)
        _must(store.get(f"{at}{number}") == bytes(data), f"buffer {number} must come back")
    before = bytes(body)
    store.put(f"{at}kept", body)
    body[:] = bytes(len(body))
    _must(store.get(f"{at}kept") == before, "a put must not refer to the buffer once it returned")


def reads_ranges(store: Store, at: str) -> None:
    """A range is cut at the end of the object; one that begins there or behind is empty."""
    key, body = f"{at}a", bytes(range(100))
    store.put(key, body)
    for start, length in ((0, None), (0, 100), (0, 1), (99, 1), (10, None), (10, 20), (90, 50)):
        want = body[start : None if length is None else start + length]
        got = store.get(key, start=start, length=length)
        _must(got == want, f"bytes {start}+{length} must be those")
    for start, length in ((100, None), (100, 1), (1000, 5), (0, 0), (50, 0), (100, 0)):
        _must(store.get(key, start=start, length=length) == b"", f"{start}+{length} must be empty")
    store.put(f"{at}empty", b"")
    for start, length in ((0, None), (0, 10), (5, 10)):
        got = store.get(f"{at}empty", start=start, length=length)
        _must(got == b"", "any range of an empty object must be empty")
    for start, length in ((-1, 1), (0, -1)):
        call = functools.partial(store.get, key, start=start, length=length)
        _must_raise(RefusedError, call, "a negative range must be refused")


def says_what_is_missing(store: Store, at: str) -> None:
    """What is absent, object or version, is reported as missing and as nothing else."""
    key = f"{at}a"
    reads: list[Callable[[], object]] = [
        lambda: store.get(key),
        lambda: store.get(key, start=5, length=5),
        lambda: store.get(key, length=0),
        lambda: store.get(key, version="0123456789abcdef"),
        lambda: store.stat(key),
        lambda: store.stat(key, version="0123456789abcdef"),
    ]
    for read in reads:
        _must_raise(ObjectMissingError, read, "an absent object must be reported as missing")
    _must(not store.versions(key), "an absent object must have no versions")
    store.put(f"{key}b", b"1")
    _must_raise(
        ObjectMissingError, lambda: store.get(key), "a prefix of a key must not be an object"
    )
    _must(not store.versions(key), "the versions of another key must not be shown")
    store.put(key, b"1")
    for version in ("0123456789abcdef", "e0f6e9b2-5f0c-4b52-9b47-1f1b0b6a1f6d"):
        for read in (
            functools.partial(store.get, key, version=version),
            functools.partial(store.stat, key, version=version),
        ):
            _must_raise(ObjectMissingError, read, "a version that never was must be missing")


def overwrites_whole(store: Store, at: str) -> None:
    """A plain put on an existing key makes a new version, or replaces the old bytes."""
    key = f"{at}a"
    first = store.put(key, b"first, and longer than the second")
    second = store.put(key, b"second")
    _must(store.get(key) == b"second", "the newest version must be read")
    _must(store.stat(key).size == len(b"second"), "the newest version must be measured")
    if store.abilities().versioned:
        _must(bool(first) and first != second, "each version must have an id")
        _must(store.get(key, version=first).startswith(b"first"), "the old version must stay")
        _must(store.get(key, version=second) == b"second", "a version must be read by its id")
        _must(store.get(key, version=first, start=0, length=5) == b"first", "ranges of versions")
    else:
        _must(first == second == "", "without versions the id must be empty")


def keeps_conditions(store: Store, at: str) -> None:
    """A conditional put fails on an existing key where abilities say so, and harms nothing."""
    key, able = f"{at}a", store.abilities()
    store.put(key, b"first", if_absent=True)
    try:
        store.put(key, b"second", if_absent=True)
    except ObjectExistsError:
        refused = True
    else:
        refused = False
    _must(refused == able.conditional_put, "abilities must say what conditions do")
    _must(refused or able.versioned, "a store needs conditions or versions")
    if refused:
        _must(store.get(key) == b"first", "a refused put must change nothing")
        _must(len(store.versions(key)) == 1, "a refused put must leave no version")
        store.delete(key, version=store.versions(key)[0].version)
        store.put(key, b"third", if_absent=True)
        _must(store.get(key) == b"third", "a name that is free again can be taken")


def one_wins_a_race(store: Store, at: str) -> None:
    """Of several conditional puts at one moment exactly one succeeds, where abilities say so."""
    if not store.abilities().conditional_put:
        return
    for turn in range(5):
        key, winners = f"{at}{turn}", list[int]()

        def race(number: int, key: str = key, winners: list[int] = winners) -> None:
            with suppress(ObjectExistsError):
                store.put(key, bytes([number]) * 100_000, if_absent=True)
                winners.append(number)

        _together(race)
        _must(len(winners) == 1, f"exactly one put must win, not {len(winners)}")
        _must(store.get(key) == bytes(winners) * 100_000, "the winner's bytes must be there")


def never_torn(store: Store, at: str) -> None:
    """A reader sees one put or another in full, never a mixture, a part, or nothing."""
    key, sizes = f"{at}a", {65: _MIB, 66: _MIB + _MIB // 2}
    store.put(key, b"A" * sizes[65])
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(lambda: [store.put(key, bytes([65 + i % 2]) * sizes[65 + i % 2])
                                       for i in range(12)])  # fmt: skip
        while not written.done():
            got = store.get(key)
            _must(got == got[:1] * sizes.get(got[0], 0), "a torn object was seen")
        written.result()


def works_from_threads(store: Store, at: str) -> None:
    """Every method can be called from several threads at once."""

    def work(number: int) -> None:
        key, body = f"{at}{number}/a", bytes([number]) * (300_000 + number)
        version = store.put(key, body)
        _must(store.get(key, version=version) == body, "each thread must read its own bytes")
        _must(store.stat(key).size == len(body), "each thread must measure its own object")
        _must(_keys(list(store.list(f"{at}{number}/")), at) == [f"{number}/a"], "own list")
        _must(f"{number}" in store.folders(at), "each thread must see its folder")
        store.delete(key, version=store.versions(key)[0].version)
        _must_raise(ObjectMissingError, lambda: store.get(key), "own delete")

    _together(work)


# ── stat, list, folders, versions, delete ───────────────────────────────────────────────────────


def measures(store: Store, at: str) -> None:
    """Stat, list and versions tell the same key, version, size and time."""
    key = f"{at}a"
    version = store.put(key, b"12345")
    stat, (listed,), (only,) = store.stat(key), list(store.list(at)), store.versions(key)
    for found in (stat, listed, only):
        _must(found.key == key, "the key must be the one that was asked for")
        _must(found.version == version, "the version must be the one that put returned")
        _must(found.size == len(b"12345"), "the size must be that of the bytes")
        _must(found.latest, "the only version is the latest")
        _must(found.modified_at.utcoffset() == timedelta(0), "times must be UTC")
        _must(abs(found.modified_at - stat.modified_at) <= _CLOCK_STEP, "one object has one time")
    by_id = store.stat(key, version=version)
    _must((by_id.version, by_id.size) == (version, 5), "a version can be measured by its id")


_NAMES: Final = ["-x", "A", "a-b", "a.b", "a/b", "a/c-d", "a/c/e", "a/c0", "a0", "b", "z/y/x/w"]
"""In key order, where ``-`` and ``.`` come before ``/``, and capitals before small letters."""


def lists_in_order(store: Store, at: str) -> None:
    """List yields what begins with the prefix and sorts behind *after*, in key order, once each."""
    for name in reversed(_NAMES):
        store.put(at + name, b"old")
        store.put(at + name, b"newest")
    found = list(store.list(at))
    _must(_keys(found, at) == _NAMES, "a list must be complete and in key order")
    _must(all(one.size == len(b"newest") for one in found), "one entry per key, its newest version")
    for prefix in ("a", "a/", "a/c", "a/c/", "b", "z/y", "nothing", "-"):
        want = [name for name in _NAMES if name.startswith(prefix)]
        _must(_keys(list(store.list(at + prefix)), at) == want, f"the list below {prefix!r}")
    for prefix in ("", "a", "a/"):
        for after in ("-", "a", "a-b", "a/", "a/b", "a/c", "a/c/zzz", "a0", "b", "z", "zz"):
            want = [name for name in _NAMES if name.startswith(prefix) and name > after]
            got = _keys(list(store.list(at + prefix, after=at + after)), at)
            _must(got == want, f"the list below {prefix!r} after {after!r}")
    for limit in (0, 1, 2, 5, len(_NAMES), 1000):
        got = _keys(list(store.list(at, limit=limit)), at)
        _must(got == _NAMES[:limit], f"the first {limit} of a list")
        got = _keys(list(store.list(at, limit=limit, after=at + "a/b")), at)
        _must(got == _NAMES[5:][:limit], f"the first {limit} of a list after a key")


def lists_folders(store: Store, at: str) -> None:
    """Folders are the distinct next components below a prefix that have something below them."""
    for name in _NAMES:
        store.put(at + name, b"")
        store.put(at + name, b"")
    for prefix, want in (("", ["a", "z"]), ("a/", ["c"]), ("z/", ["y"]), ("b/", []), ("no/", [])):
        _must(list(store.folders(at + prefix)) == want, f"the folders below {prefix!r}")
    erase(store, f"{at}a/c/")
    _must(list(store.folders(f"{at}a/")) == [], "a folder without objects must not be shown")


def orders_versions(store: Store, at: str) -> None:
    """Versions come oldest first in the store's own order; the last one is the latest."""
    key = f"{at}a"
    ids = [store.put(key, b"v" * size) for size in range(1, 6)]
    for other in ("-", "0", ".b"):
        store.put(key + other, b"")
    found = store.versions(key)
    if not store.abilities().versioned:
        _must([one.version for one in found] == [""], "without versions there is one, without id")
        return
    _must([one.version for one in found] == ids, "versions must come oldest first")
    _must([one.size for one in found] == [1, 2, 3, 4, 5], "each version has its own size")
    _must([one.latest for one in found] == [False] * 4 + [True], "the last one is the latest")


def deletes_for_good(store: Store, at: str) -> None:
    """Delete removes just the named version; what is absent already is no error."""
    key = f"{at}a"
    ids = [store.put(key, bytes([number])) for number in range(3)]
    if store.abilities().versioned:
        store.delete(key)
        _must(store.get(key) == b"\2", "a delete without version must not hide a versioned object")
        store.delete(key, version=ids[1])
        store.delete(key, version=ids[1])
        _must([o.version for o in store.versions(key)] == [ids[0], ids[2]], "one version goes")
        _must_raise(
            ObjectMissingError, lambda: store.get(key, version=ids[1]), "what is deleted is missing"
        )
        store.delete(key, version=ids[2])
        _must(store.get(key) == b"\0", "the version before becomes the newest")
    left = [one.version for one in store.versions(key)]
    _must(list(store.remains(key)) == left[::-1], "what remains is every version, newest first")
    store.put(f"{key}0", b"a neighbour")
    store.delete(key, version=store.versions(key)[0].version)
    _must_raise(ObjectMissingError, lambda: store.get(key), "what is deleted is missing")
    _must(list(store.remains(key)) == [], "nothing remains of what is deleted")
    for version in store.remains(f"{key}0"):
        store.delete(f"{key}0", version=version)
    for version in ("", ids[0], "0123456789abcdef"):
        store.delete(key, version=version)
        store.delete(f"{at}never/was", version=version)
    _must(not list(store.list(at)), "nothing is left")


def marker_hides_nothing(store: Store, mark: Callable[[str], None]) -> None:
    """Check that a key below a delete marker is listed and read; *mark* makes the marker."""

    def check(store: Store, at: str) -> None:
        ids = [store.put(f"{at}a/{name}", name.encode()) for name in "123"]
        key = f"{at}a/1"
        mark(key)
        mark(key)
        for limit in (None, 1, 2, 3):
            found = list(store.list(f"{at}a/", limit=limit))
            _must(_keys(found, f"{at}a/") == ["1", "2", "3"][:limit], "a marker hid a key")
            _must(found[0].version == ids[0], "the version below the marker must be named")
            _must(not found[0].latest, "below a marker nothing is the latest")
        _must(list(store.folders(at)) == ["a"], "a marker hid a folder")
        (only,) = store.versions(key)
        _must((only.version, only.latest) == (ids[0], False), "a marker is no version")
        _must(store.get(key, version=ids[0]) == b"1", "a marker hid a version")
        _must(store.get(key) == b"1", "a marker hid an object")
        _must(store.get(key, start=1) == b"", "a marker hid a range")
        _must(store.stat(key).version == ids[0], "a marker hid an object from stat")
        store.put(key, b"again", if_absent=True)
        _must(store.get(key) == b"again", "what is written over a marker is the newest")
        _must(ids[0] in store.remains(key), "a marker hid a version from what remains")
        mark(key)
        _must(len(store.remains(key)) > len(store.versions(key)), "markers are what remains, too")
        for version in store.remains(key):
            store.delete(key, version=version)
        _must(list(store.remains(key)) == [], "no version and no marker is left")

    _named(check)[1](store)


# ── big ones ────────────────────────────────────────────────────────────────────────────────────


def carries_packs(store: Store, at: str) -> None:
    """A pack of 64 MiB goes out in one put and comes back, whole and in ranges."""
    body = memoryview(bytearray(secrets.token_bytes(_MIB + 1) * 64)[:_PACK])
    store.put(f"{at}a", body)
    _must(store.stat(f"{at}a").size == _PACK, "a pack must have its size")
    _must(store.get(f"{at}a") == body, "a pack must come back")
    for start, length in ((0, 4096), (_PACK - 1000, 5000), (12_345_678, 262_144)):
        got = store.get(f"{at}a", start=start, length=length)
        _must(got == body[start : start + length], f"bytes {start}+{length} of a pack")


def lists_thousands(store: Store, at: str) -> None:
    """A list that takes several pages is complete, in order, and can begin anywhere."""
    want = [f"{number:05}" for number in range(1050)]
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda name: store.put(at + name, b""), want))
    _must(_keys(list(store.list(at)), at) == want, "a long list must be complete")
    got = _keys(list(store.list(at, after=f"{at}00009", limit=1030)), at)
    _must(got == want[10:1040], "a long list can begin in its middle")


CHECKS: Final[list[tuple[str, Check]]] = [
    _named(check)
    for check in (
        refuses_what_is_no_key,
        takes_every_key,
        gives_back_what_was_put,
        reads_ranges,
        says_what_is_missing,
        overwrites_whole,
        keeps_conditions,
        one_wins_a_race,
        never_torn,
        works_from_threads,
        measures,
        lists_in_order,
        lists_folders,
        orders_versions,
        deletes_for_good,
    )
]

BIG_CHECKS: Final[list[tuple[str, Check]]] = [
    _named(check) for check in (carries_packs, lists_thousands)
]
