-- The catalogue is a cache of what the bucket holds; losing it loses nothing. No key material here.

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
