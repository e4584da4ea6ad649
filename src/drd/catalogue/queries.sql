-- name: keys
-- Manifests known here.
SELECT manifest_key, manifest_sha256 FROM point WHERE tenant = :tenant;

-- name: points
-- Everything known of one tenant, in reading order.
SELECT manifest_key, tenant, lineage, seq, name, identity, kind, point_at, committed_at, size,
       manifest_sha256, predecessor_seq, facts
FROM point WHERE tenant = :tenant ORDER BY lineage, seq;

-- name: learn
-- What the bucket says wins over what was known.
INSERT OR REPLACE INTO point (manifest_key, tenant, lineage, seq, name, identity, kind, point_at,
                              committed_at, size, manifest_sha256, predecessor_seq, facts)
VALUES (:manifest_key, :tenant, :lineage, :seq, :name, :identity, :kind, :point_at,
        :committed_at, :size, :manifest_sha256, :predecessor_seq, :facts);

-- name: forget
DELETE FROM point WHERE manifest_key = :manifest_key;

-- name: clear
DELETE FROM point;
