"""The diary in SQLite: what this host alone knows, in the same file as the catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from drd.catalogue.database import DamagedCatalogueError, Database
from drd.model import Deed, Image, Outcome, Pause, RunRecord

RUNS_OF_ONE: Final = 50
"""Runs that are kept of each subject and kind: two days of hourly points."""
RUNS_IN_ALL: Final = 200_000
"""Runs that are kept at most, besides the last one of each subject: some 100 MiB."""
DEEDS_OF_ONE: Final = RUNS_OF_ONE
"""Verifies, and prunes, that are kept of each lineage: of a run that is kept none is missing."""
DEEDS_IN_ALL: Final = 200_000
"""So many are kept at most, of all lineages: some 60 MiB."""
TRIM_EVERY: Final = 256
"""All are trimmed once in so many runs: it reads over what stays for ever."""
_T = TypeVar("_T")
_RUN: Final = tuple(field.name for field in fields(RunRecord))
_DEED: Final = (
    *("run", "kind", "subject", "policy", "started_at", "ended_at", "outcome", "exit_code", "code"),
    *("message", "hint", "seq", "seconds"),
)
"""Columns of a deed but for its facts; the others of a run say nothing of it."""
_SAID: Final = ("subject", "label", "policy", "code", "message", "hint")
_TIMES: Final = tuple(_RUN.index(name) for name in ("started_at", "slot", "ended_at"))
_NAMES: Final = tuple(_RUN.index(name) for name in _SAID)
_TRIMS: Final = {
    "note_run": ("trim_all", RUNS_IN_ALL),
    "note_deed": ("trim_all_deeds", DEEDS_IN_ALL),
}
"""What trims all after a statement, and how many it leaves."""
_OUTCOME: Final = _RUN.index("outcome")


class SqliteDiary:
    """A :class:`drd.ports.Diary` in the file of the catalogue.

    A power cut may cost its last moments; no run waits for a disk on its account.

    A file that is found damaged is set aside and begun anew, once for each call, and *warn* is told.

    Args:
        path: the file.
        warn: told what was lost.
        reading: only read; a damaged file is an error then, and stays where it is.

    Raises:
        ConfigError: the folder cannot be written; for *reading*, the file cannot be read.
        NotFoundError: there is no file to read.
    """

    def __init__(self, path: Path, warn: Callable[[str], None], *, reading: bool = False) -> None:
        self._database = Database(path, reading=reading, lasting=False)
        self._sql = self._database.sql
        self._warn = warn
        self._mends = not reading
        if self._database.lost:
            warn(self._database.lost)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # ── images ────────────────────────────────────────────────────────────────────────────────
    def images(self) -> Sequence[Image]:
        """See :class:`drd.ports.Diary`."""
        found = self._ask("images", {}, lambda rows: [_image(row) for row in rows])
        return sorted(found, key=lambda image: (image.label, image.identity))

    def note_images(self, images: Iterable[Image]) -> None:
        """See :class:`drd.ports.Diary`."""
        self._change([("note_image", _image_row(image)) for image in images])

    def drop_images(self, identities: Iterable[str]) -> None:
        """See :class:`drd.ports.Diary`."""
        self._change([("drop_image", {"identity": _text(one)}) for one in identities])

    # ── runs ──────────────────────────────────────────────────────────────────────────────────
    def begin_run(self, run: RunRecord) -> None:
        """See :class:`drd.ports.Diary`."""
        self._change([("forget_run", {"run": run.run}), ("note_run", _run_row(run, latest=False))])

    def end_run(self, run: RunRecord, pause: Pause | None) -> None:
        """See :class:`drd.ports.Diary`."""
        of = {"kind": run.kind, "subject": _text(run.subject)}
        steps: list[tuple[str, Mapping[str, object]]] = [
            ("no_longer_latest", of),
            ("forget_run", {"run": run.run}),
            ("note_run", _run_row(run, latest=True)),
            ("trim_subject", {**of, "keep": RUNS_OF_ONE}),
            ("end_pause", {"subject": of["subject"]}),
        ]
        if pause is not None:
            steps.append(("note_pause", _pause_row(pause)))
        self._change(steps, trim=True)

    def runs(self, *, subject: str = "", kind: str = "", limit: int = 100) -> Sequence[RunRecord]:
        """See :class:`drd.ports.Diary`."""
        asked = {"subject": _text(subject), "kind": kind, "limit": limit}
        return self._ask("runs_of" if subject else "runs", asked, _runs)

    def note_deed(self, deed: Deed) -> None:
        """See :class:`drd.ports.Diary`."""
        row = _deed_row(deed)
        trim = {"kind": row["kind"], "subject": row["subject"], "keep": DEEDS_OF_ONE}
        self._change([("note_deed", row), ("trim_deeds", trim)], trim=True)

    def deeds(self, *, lineage: str = "", run: str = "", limit: int = 100) -> Sequence[Deed]:
        """See :class:`drd.ports.Diary`."""
        asked = {"lineage": _text(lineage), "run": run, "limit": limit}
        name = "deeds_of" if lineage else "deeds_of_run"
        return self._ask(name, asked, lambda rows: [_deed(row) for row in rows])

    def last_runs(self, kind: str) -> Mapping[str, RunRecord]:
        """See :class:`drd.ports.Diary`."""
        return {run.subject: run for run in self._ask("last_runs", {"kind": kind}, _runs)}

    def running(self) -> Sequence[RunRecord]:
        """See :class:`drd.ports.Diary`."""
        return self._ask("running", {}, _runs)

    # ── pauses, and the daemon's pulse ────────────────────────────────────────────────────────
    def pauses(self) -> Mapping[str, Pause]:
        """See :class:`drd.ports.Diary`."""
        return self._ask("pauses", {}, lambda rows: {_string(row[0]): _pause(row) for row in rows})

    def end_pause(self, subject: str) -> None:
        """See :class:`drd.ports.Diary`."""
        self._change([("end_pause", {"subject": _text(subject)})])

    def note_tick(self, at: datetime) -> None:
        """See :class:`drd.ports.Diary`."""
        self._change([("note_tick", {"at": at.isoformat()})])

    def last_tick(self) -> datetime | None:
        """See :class:`drd.ports.Diary`."""
        return self._ask("last_tick", {}, lambda rows: _time(rows[0][0]) if rows else None)

    # ── the file ──────────────────────────────────────────────────────────────────────────────
    def _ask(
        self,
        name: str,
        asked: Mapping[str, object],
        make: Callable[[list[tuple[Any, ...]]], _T],
    ) -> _T:
        return self._mending(lambda: self._database.rows(name, asked, make))

    def _change(
        self, steps: Sequence[tuple[str, Mapping[str, object]]], *, trim: bool = False
    ) -> None:
        """Take *steps* (a statement and what it is asked) in one transaction."""

        def take() -> None:
            with self._database.writing() as db:
                for name, asked in steps:
                    number = db.execute(self._sql[name], asked).lastrowid or 0
                    if trim and name in _TRIMS and number % TRIM_EVERY == 0:
                        statement, keep = _TRIMS[name]
                        db.execute(self._sql[statement], {"keep": keep})

        self._mending(take)

    def _mending(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except DamagedCatalogueError:
            if not self._mends:
                raise
            self._database.begin_anew()
            self._warn(self._database.lost)
            return act()


def _text(value: str) -> str | bytes:
    """As SQLite can hold it: names of files need not be UTF-8 (PEP 383), and are bytes then."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="surrogatepass")
    return value


def _string(value: object) -> str:
    """What :func:`_text` made text of."""
    return value.decode(errors="surrogatepass") if isinstance(value, bytes) else str(value)


def _when(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _image_row(image: Image) -> dict[str, object]:
    return {
        "identity": _text(image.identity),
        "source": image.source,
        "label": _text(image.label),
        "policy": image.policy,
        "first_seen": image.first_seen.isoformat(),
        "last_seen": image.last_seen.isoformat(),
        "gone_at": _when(image.gone_at),
        "renamed_from": _text(image.renamed_from),
    }


def _image(row: tuple[Any, ...]) -> Image:
    identity, source, label, policy, first_seen, last_seen, gone_at, renamed_from = row
    return Image(
        identity=_string(identity),
        source=source,
        label=_string(label),
        policy=policy,
        first_seen=datetime.fromisoformat(first_seen),
        last_seen=datetime.fromisoformat(last_seen),
        gone_at=_time(gone_at),
        renamed_from=_string(renamed_from),
    )


def _run_row(run: RunRecord, *, latest: bool) -> dict[str, object]:
    row: dict[str, object] = {"latest": int(latest)}
    for name in _RUN:
        value = getattr(run, name)
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, Outcome):
            value = value.value
        row[name] = value
    return row | {name: _text(getattr(run, name)) for name in _SAID}


def _runs(rows: list[tuple[Any, ...]]) -> list[RunRecord]:
    return [_run(row) for row in rows]


def _run(row: tuple[Any, ...]) -> RunRecord:
    """A row of ten thousand, so this is done by place, not by name."""
    values = list(row)
    for place in _TIMES:
        if values[place] is not None:
            values[place] = datetime.fromisoformat(values[place])
    for place in _NAMES:
        if isinstance(values[place], bytes):
            values[place] = _string(values[place])
    if values[_OUTCOME] is not None:
        values[_OUTCOME] = Outcome(values[_OUTCOME])
    return RunRecord(*values)


def _deed_row(deed: Deed) -> dict[str, object]:
    run = _run_row(deed.record, latest=False)
    return {name: run[name] for name in _DEED} | {"facts": json.dumps(dict(deed.facts))}


def _deed(row: tuple[Any, ...]) -> Deed:
    *values, facts = row
    run = dict(zip(_DEED, values, strict=True))
    run |= {"label": "", "source": "", "slot": None, "lineage": run["subject"]}
    run |= {"bytes_read": 0, "bytes_changed": 0, "bytes_uploaded": 0}
    return Deed(_run(tuple(run[name] for name in _RUN)), json.loads(facts))


def _pause_row(pause: Pause) -> dict[str, object]:
    return {
        "subject": _text(pause.subject),
        "failures": pause.failures,
        "until": pause.until.isoformat(),
        "code": pause.code,
        "message": _text(pause.message),
    }


def _pause(row: tuple[Any, ...]) -> Pause:
    subject, failures, until, code, message = row
    return Pause(
        subject=_string(subject),
        failures=failures,
        until=datetime.fromisoformat(until),
        code=code,
        message=_string(message),
    )
