-- name: points
SELECT seq, sha256, kind, point_at, committed_at, trust FROM known
WHERE tenant = :tenant AND lineage = :lineage ORDER BY seq;

-- name: spans
SELECT table_id, kind, size, sha256, version, first, last FROM named
WHERE tenant = :tenant AND lineage = :lineage ORDER BY table_id;

-- name: clears
SELECT table_id, clear, sha256 FROM reached WHERE tenant = :tenant AND lineage = :lineage;

-- name: proof
SELECT sha256 FROM proof WHERE tenant = :tenant AND lineage = :lineage;

-- name: needs
SELECT needs, sha256 FROM needs WHERE tenant = :tenant AND lineage = :lineage;

-- name: note_needs
INSERT OR REPLACE INTO needs VALUES (:tenant, :lineage, :needs, :sha256);

-- name: forget_needs
DELETE FROM needs WHERE tenant = :tenant AND lineage = :lineage;

-- name: note_point
INSERT OR REPLACE INTO known VALUES
(:tenant, :lineage, :seq, :sha256, :kind, :point_at, :committed_at, :trust);

-- name: note_span
-- Never narrower than it is: two processes may learn of one lineage at a time, and one of them of less.
INSERT INTO named VALUES
(:tenant, :lineage, :table_id, :kind, :size, :sha256, :version, :first, :last)
ON CONFLICT (tenant, lineage, table_id) DO UPDATE SET
    kind = excluded.kind, size = excluded.size, sha256 = excluded.sha256, version = excluded.version,
    first = min(first, excluded.first), last = max(last, excluded.last);

-- name: note_clear
INSERT OR REPLACE INTO reached VALUES (:tenant, :lineage, :table_id, :clear, :sha256);

-- name: note_proof
INSERT OR REPLACE INTO proof VALUES (:tenant, :lineage, :sha256);

-- name: drop_point
DELETE FROM known WHERE tenant = :tenant AND lineage = :lineage AND seq = :seq;

-- name: drop_span
DELETE FROM named WHERE tenant = :tenant AND lineage = :lineage AND table_id = :table_id;

-- name: drop_clear
DELETE FROM reached WHERE tenant = :tenant AND lineage = :lineage AND table_id = :table_id;

-- name: forget_points
DELETE FROM known WHERE tenant = :tenant AND lineage = :lineage;

-- name: forget_spans
DELETE FROM named WHERE tenant = :tenant AND lineage = :lineage;

-- name: forget_clears
DELETE FROM reached WHERE tenant = :tenant AND lineage = :lineage;

-- name: forget_proof
DELETE FROM proof WHERE tenant = :tenant AND lineage = :lineage;

-- name: statements
-- Keys have no character that LIKE or GLOB would take for a pattern; 0x7f sorts behind all of them.
SELECT key, object FROM journal WHERE key >= :prefix AND key < :prefix || char(127);

-- name: note_statement
INSERT OR REPLACE INTO journal VALUES (:key, :object);
