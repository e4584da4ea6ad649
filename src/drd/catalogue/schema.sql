-- The catalogue is a cache of what the bucket holds; losing it loses nothing. No key material here.
-- The diary (image, run, pause, tick) is of this host alone; a rebuild leaves it, a lost file loses it.

-- name: table
-- committed_here: 1 when this host put the manifest itself; the bucket cannot say so.
CREATE TABLE IF NOT EXISTS point (
    manifest_key     TEXT PRIMARY KEY,
    tenant           BLOB NOT NULL,
    lineage          BLOB NOT NULL,
    seq              INTEGER NOT NULL,
    name             TEXT NOT NULL,
    identity         TEXT NOT NULL,
    kind             INTEGER NOT NULL,
    point_at         TEXT NOT NULL,
    committed_at     TEXT NOT NULL,
    size             INTEGER NOT NULL,
    manifest_sha256  BLOB NOT NULL,
    predecessor_seq  INTEGER NOT NULL,
    facts            TEXT NOT NULL,
    committed_here   INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- name: by_lineage
CREATE INDEX IF NOT EXISTS point_by_lineage ON point (tenant, lineage, seq);

-- name: by_identity
CREATE INDEX IF NOT EXISTS point_by_identity ON point (tenant, identity, committed_at, seq);

-- name: damage
-- What verify found on this host; the bucket cannot say so.
CREATE TABLE IF NOT EXISTS damage (
    tenant    BLOB NOT NULL,
    lineage   BLOB NOT NULL,
    seq       INTEGER NOT NULL,
    level     INTEGER NOT NULL,
    found_at  TEXT NOT NULL,
    what      TEXT NOT NULL,
    PRIMARY KEY (tenant, lineage)
) WITHOUT ROWID;

-- name: lost
-- Packs that a repair on this host could not heal: the next backup puts again what it needs of them.
CREATE TABLE IF NOT EXISTS lost (
    tenant    BLOB NOT NULL,
    lineage   BLOB NOT NULL,
    pack      BLOB NOT NULL,
    PRIMARY KEY (tenant, lineage, pack)
) WITHOUT ROWID;

-- name: head
-- Made from point in the transaction that changes it. points: full ones; 0 where all are partial.
CREATE TABLE IF NOT EXISTS head (
    tenant        BLOB NOT NULL,
    lineage       BLOB NOT NULL,
    name          TEXT NOT NULL,
    identity      TEXT NOT NULL,
    seq           INTEGER NOT NULL,
    point_at      TEXT NOT NULL,
    committed_at  TEXT NOT NULL,
    size          INTEGER NOT NULL,
    points        INTEGER NOT NULL,
    oldest_at     TEXT NOT NULL,
    PRIMARY KEY (tenant, lineage)
) WITHOUT ROWID;

-- name: result
-- The newest result of a verify of each lineage at each level, as signed objects say it.
CREATE TABLE IF NOT EXISTS result (
    tenant    BLOB NOT NULL,
    lineage   BLOB NOT NULL,
    level     INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    at        TEXT NOT NULL,
    ok        INTEGER NOT NULL,
    findings  INTEGER NOT NULL,
    covered   REAL NOT NULL,
    PRIMARY KEY (tenant, lineage, level)
) WITHOUT ROWID;

-- name: learnt
-- Tenants whose results were all learnt, once since this was begun or cleared; of others some may be missing.
CREATE TABLE IF NOT EXISTS learnt (
    tenant  BLOB PRIMARY KEY
) WITHOUT ROWID;

-- name: hold
-- Points that must not expire, as signed objects say it. Several people may hold one point.
CREATE TABLE IF NOT EXISTS hold (
    tenant   BLOB NOT NULL,
    lineage  BLOB NOT NULL,
    seq      INTEGER NOT NULL,
    at       TEXT NOT NULL,
    why      TEXT NOT NULL,
    by       TEXT NOT NULL
);

-- name: hold_by_lineage
CREATE INDEX IF NOT EXISTS hold_by_lineage ON hold (tenant, lineage, seq);

-- name: image
CREATE TABLE IF NOT EXISTS image (
    identity      TEXT PRIMARY KEY,
    source        TEXT NOT NULL,
    label         TEXT NOT NULL,
    policy        TEXT NOT NULL,
    first_seen    TEXT NOT NULL,
    last_seen     TEXT NOT NULL,
    gone_at       TEXT,
    renamed_from  TEXT NOT NULL
) WITHOUT ROWID;

-- name: run
-- latest: 1 for the last run of its kind and subject that ended. outcome: NULL while it runs.
CREATE TABLE IF NOT EXISTS run (
    number          INTEGER PRIMARY KEY,
    run             TEXT NOT NULL UNIQUE,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL,
    label           TEXT NOT NULL,
    source          TEXT NOT NULL,
    policy          TEXT NOT NULL,
    started_at      TEXT NOT NULL,
    slot            TEXT,
    ended_at        TEXT,
    outcome         TEXT,
    exit_code       INTEGER NOT NULL,
    code            TEXT NOT NULL,
    message         TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    lineage         TEXT NOT NULL,
    bytes_read      INTEGER NOT NULL,
    bytes_changed   INTEGER NOT NULL,
    bytes_uploaded  INTEGER NOT NULL,
    seconds         REAL NOT NULL,
    latest          INTEGER NOT NULL,
    hint            TEXT NOT NULL DEFAULT ''
);

-- name: run_by_subject
CREATE INDEX IF NOT EXISTS run_by_subject ON run (subject, kind, number);

-- name: run_latest
CREATE INDEX IF NOT EXISTS run_latest ON run (kind, subject) WHERE latest = 1;

-- name: run_running
CREATE INDEX IF NOT EXISTS run_running ON run (number) WHERE outcome IS NULL;

-- name: deed
-- What a verify or a prune did in one lineage (subject, hex). facts: JSON, numbers.
CREATE TABLE IF NOT EXISTS deed (
    number      INTEGER PRIMARY KEY,
    run         TEXT NOT NULL,
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    policy      TEXT NOT NULL,
    started_at  TEXT NOT NULL,
    ended_at    TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    exit_code   INTEGER NOT NULL,
    code        TEXT NOT NULL,
    message     TEXT NOT NULL,
    hint        TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    seconds     REAL NOT NULL,
    facts       TEXT NOT NULL
);

-- name: deed_by_subject
CREATE INDEX IF NOT EXISTS deed_by_subject ON deed (subject, kind, number);

-- name: deed_by_run
CREATE INDEX IF NOT EXISTS deed_by_run ON deed (run);

-- name: pause
CREATE TABLE IF NOT EXISTS pause (
    subject   TEXT PRIMARY KEY,
    failures  INTEGER NOT NULL,
    until     TEXT NOT NULL,
    code      TEXT NOT NULL,
    message   TEXT NOT NULL
) WITHOUT ROWID;

-- name: tick
-- When the daemon last looked at what is due.
CREATE TABLE IF NOT EXISTS tick (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    at    TEXT NOT NULL
);
