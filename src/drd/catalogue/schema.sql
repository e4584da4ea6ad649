-- The catalogue is a cache of what the bucket holds; losing it loses nothing. No key material here.
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
    facts            TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS point_by_lineage ON point (tenant, lineage, seq);
