-- name: keys
-- Manifests known here.
SELECT manifest_key, manifest_sha256 FROM point WHERE tenant = :tenant;

-- name: points
-- Everything known of one tenant, in reading order.
SELECT manifest_key, tenant, lineage, seq, name, identity, kind, point_at, committed_at, size,
       manifest_sha256, predecessor_seq, facts, committed_here
FROM point WHERE tenant = :tenant ORDER BY lineage, seq;

-- name: points_of
SELECT manifest_key, tenant, lineage, seq, name, identity, kind, point_at, committed_at, size,
       manifest_sha256, predecessor_seq, facts, committed_here
FROM point WHERE tenant = :tenant AND lineage = :lineage ORDER BY seq;

-- name: heads
SELECT point.lineage, name, identity, point.seq, point_at, committed_at, size, points, oldest_at
FROM point JOIN (
    SELECT lineage, max(seq) AS seq, count(*) AS points, min(point_at) AS oldest_at
    FROM point WHERE tenant = :tenant AND kind = 1 GROUP BY lineage
) AS newest ON point.lineage = newest.lineage AND point.seq = newest.seq
WHERE tenant = :tenant AND kind = 1 ORDER BY point.lineage;

-- name: lineage_of
-- The lineage of an image: that of its newest point. Times are UTC and in one form, so text sorts.
SELECT lineage FROM point WHERE tenant = :tenant AND identity = :identity
ORDER BY committed_at DESC, seq DESC LIMIT 1;

-- name: highest
SELECT coalesce(max(seq), 0) FROM point WHERE tenant = :tenant AND lineage = :lineage;

-- name: learn
-- What the bucket says wins over what was known; that this host made the very same point stays.
INSERT INTO point (manifest_key, tenant, lineage, seq, name, identity, kind, point_at, committed_at,
                   size, manifest_sha256, predecessor_seq, facts, committed_here)
VALUES (:manifest_key, :tenant, :lineage, :seq, :name, :identity, :kind, :point_at, :committed_at,
        :size, :manifest_sha256, :predecessor_seq, :facts, :committed_here)
ON CONFLICT (manifest_key) DO UPDATE SET
    tenant = excluded.tenant, lineage = excluded.lineage, seq = excluded.seq,
    name = excluded.name, identity = excluded.identity, kind = excluded.kind,
    point_at = excluded.point_at, committed_at = excluded.committed_at, size = excluded.size,
    manifest_sha256 = excluded.manifest_sha256, predecessor_seq = excluded.predecessor_seq,
    facts = excluded.facts,
    committed_here = max(excluded.committed_here,
                         committed_here * (manifest_sha256 = excluded.manifest_sha256));

-- name: forget
DELETE FROM point WHERE manifest_key = :manifest_key;

-- name: clear
DELETE FROM point;

-- name: from_1
-- Schema 1 did not note who committed; what it knew is kept, because a hidden head is known by it.
ALTER TABLE point ADD COLUMN committed_here INTEGER NOT NULL DEFAULT 0;

-- name: damage_of
SELECT seq, level, found_at, what FROM damage WHERE tenant = :tenant AND lineage = :lineage;

-- name: note_damage
INSERT INTO damage (tenant, lineage, seq, level, found_at, what)
VALUES (:tenant, :lineage, :seq, :level, :found_at, :what);

-- name: take_back_damage
DELETE FROM damage WHERE tenant = :tenant AND lineage = :lineage;

-- name: clear_damage
DELETE FROM damage;

-- name: drop_damage
DROP TABLE IF EXISTS damage;

-- name: drop
DROP TABLE IF EXISTS point;

-- name: any_table
SELECT 1 FROM sqlite_master LIMIT 1;

-- name: tenants
-- Whether anything is known here, and whether anything of this tenant is.
SELECT EXISTS (SELECT 1 FROM point), EXISTS (SELECT 1 FROM point WHERE tenant = :tenant);
