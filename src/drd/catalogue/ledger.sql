-- What deletion needs to know of the bucket. A cache: losing it loses nothing. No key material here.

-- name: known
-- Manifests that were read and verified; trust is the SHA-256 of the trust document of then.
CREATE TABLE IF NOT EXISTS known (
    tenant        BLOB NOT NULL,
    lineage       BLOB NOT NULL,
    seq           INTEGER NOT NULL,
    sha256        BLOB NOT NULL,
    kind          INTEGER NOT NULL,
    point_at      TEXT NOT NULL,
    committed_at  TEXT NOT NULL,
    trust         BLOB NOT NULL,
    PRIMARY KEY (tenant, lineage, seq)
) WITHOUT ROWID;

-- name: named
-- Tables of the bucket, and the first and last point that name each.
CREATE TABLE IF NOT EXISTS named (
    tenant    BLOB NOT NULL,
    lineage   BLOB NOT NULL,
    table_id  BLOB NOT NULL,
    kind      INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    sha256    BLOB NOT NULL,
    version   TEXT NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (tenant, lineage, table_id)
) WITHOUT ROWID;

-- name: reached
-- Clear parts of tables, each with its SHA-256: what is rotten is read again.
CREATE TABLE IF NOT EXISTS reached (
    tenant    BLOB NOT NULL,
    lineage   BLOB NOT NULL,
    table_id  BLOB NOT NULL,
    clear     BLOB NOT NULL,
    sha256    BLOB NOT NULL,
    PRIMARY KEY (tenant, lineage, table_id)
) WITHOUT ROWID;

-- name: proof
-- SHA-256 over all rows of known and named of a lineage: a row that is missing or changed is found out.
CREATE TABLE IF NOT EXISTS proof (
    tenant   BLOB NOT NULL,
    lineage  BLOB NOT NULL,
    sha256   BLOB NOT NULL,
    PRIMARY KEY (tenant, lineage)
) WITHOUT ROWID;

-- name: needs
-- What the last look for sparse packs remembered of a lineage, with its SHA-256.
CREATE TABLE IF NOT EXISTS needs (
    tenant   BLOB NOT NULL,
    lineage  BLOB NOT NULL,
    needs    BLOB NOT NULL,
    sha256   BLOB NOT NULL,
    PRIMARY KEY (tenant, lineage)
) WITHOUT ROWID;

-- name: journal
CREATE TABLE IF NOT EXISTS journal (
    key     TEXT PRIMARY KEY,
    object  BLOB NOT NULL
) WITHOUT ROWID;
