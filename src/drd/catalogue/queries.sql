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

-- name: tails
-- Of each lineage the newest full point, and the partial ones after it; the newest, where none is full.
-- CROSS: heads first. Left to itself SQLite reads every point.
SELECT manifest_key, point.tenant, point.lineage, point.seq, point.name, point.identity, kind,
       point.point_at, point.committed_at, point.size, manifest_sha256, predecessor_seq, facts,
       committed_here
FROM head CROSS JOIN point ON point.tenant = head.tenant AND point.lineage = head.lineage
                          AND point.seq >= head.seq
WHERE head.tenant = :tenant ORDER BY head.lineage, point.seq;

-- name: heads
SELECT lineage, name, identity, seq, point_at, committed_at, size, points, oldest_at
FROM head WHERE tenant = :tenant AND points > 0 ORDER BY lineage;

-- name: lineages
SELECT lineage FROM head WHERE tenant = :tenant;

-- name: place_of
SELECT tenant, lineage FROM point WHERE manifest_key = :manifest_key;

-- name: drop_head
DELETE FROM head WHERE tenant = :tenant AND lineage = :lineage;

-- name: make_head
-- The newest full point of a lineage; where all are partial, the newest of these, and points = 0.
INSERT INTO head (tenant, lineage, name, identity, seq, point_at, committed_at, size, points, oldest_at)
SELECT tenant, lineage, name, identity, seq, point_at, committed_at, size, points,
       coalesce(oldest_at, point_at)
FROM point, (SELECT count(*) AS points, min(point_at) AS oldest_at FROM point
             WHERE tenant = :tenant AND lineage = :lineage AND kind = 1)
WHERE tenant = :tenant AND lineage = :lineage AND (kind = 1 OR points = 0)
ORDER BY seq DESC LIMIT 1;

-- name: all_heads
-- The same for all lineages at once, for a file that has none yet.
INSERT INTO head (tenant, lineage, name, identity, seq, point_at, committed_at, size, points, oldest_at)
SELECT point.tenant, point.lineage, name, identity, point.seq, point_at, committed_at, size, points,
       coalesce(oldest_at, point_at)
FROM point JOIN (
    SELECT tenant, lineage, coalesce(max(CASE WHEN kind = 1 THEN seq END), max(seq)) AS seq,
           sum(kind = 1) AS points, min(CASE WHEN kind = 1 THEN point_at END) AS oldest_at
    FROM point GROUP BY tenant, lineage
) AS newest ON point.tenant = newest.tenant AND point.lineage = newest.lineage
           AND point.seq = newest.seq
WHERE true
ON CONFLICT DO NOTHING;

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

-- name: clear_points
DELETE FROM point;

-- name: clear_heads
DELETE FROM head;

-- name: clear_results
DELETE FROM result;

-- name: clear_holds
DELETE FROM hold;

-- name: from_1
-- Schema 1 did not note who committed; what it knew is kept, because a hidden head is known by it.
ALTER TABLE point ADD COLUMN committed_here INTEGER NOT NULL DEFAULT 0;

-- name: run_hint
-- Up to schema 5 runs did not keep the hint of their error.
ALTER TABLE run ADD COLUMN hint TEXT NOT NULL DEFAULT '';

-- name: columns_of_run
SELECT name FROM pragma_table_info('run');

-- name: damage_of
SELECT seq, level, found_at, what,
    (SELECT group_concat(hex(pack)) FROM lost
     WHERE lost.tenant = damage.tenant AND lost.lineage = damage.lineage)
FROM damage WHERE tenant = :tenant AND lineage = :lineage;

-- name: note_damage
INSERT INTO damage (tenant, lineage, seq, level, found_at, what)
VALUES (:tenant, :lineage, :seq, :level, :found_at, :what);

-- name: take_back_damage
DELETE FROM damage WHERE tenant = :tenant AND lineage = :lineage;

-- name: clear_damage
DELETE FROM damage;

-- name: damages
SELECT lineage, seq, level, found_at, what,
    (SELECT group_concat(hex(pack)) FROM lost
     WHERE lost.tenant = damage.tenant AND lost.lineage = damage.lineage)
FROM damage WHERE tenant = :tenant;

-- name: note_lost
INSERT OR IGNORE INTO lost (tenant, lineage, pack) VALUES (:tenant, :lineage, :pack);

-- name: take_back_lost
DELETE FROM lost WHERE tenant = :tenant AND lineage = :lineage;

-- name: clear_lost
DELETE FROM lost;

-- name: note_proven
-- The newest of a lineage and a level stays, in whichever order they come.
INSERT INTO result (tenant, lineage, level, seq, at, ok, findings, covered)
VALUES (:tenant, :lineage, :level, :seq, :at, :ok, :findings, :covered)
ON CONFLICT (tenant, lineage, level) DO UPDATE SET
    seq = excluded.seq, at = excluded.at, ok = excluded.ok, findings = excluded.findings,
    covered = excluded.covered
WHERE excluded.at >= at;

-- name: proven
SELECT lineage, level, seq, at, ok, findings, covered
FROM result WHERE tenant = :tenant ORDER BY lineage, level;

-- name: note_learnt
INSERT OR IGNORE INTO learnt (tenant) VALUES (:tenant);

-- name: is_learnt
SELECT count(*) FROM learnt WHERE tenant = :tenant;

-- name: all_learnt
-- Up to schema 7 nothing was noted; where any result is known, a learning that was whole brought it.
INSERT OR IGNORE INTO learnt (tenant) SELECT DISTINCT tenant FROM result;

-- name: clear_learnt
DELETE FROM learnt;

-- name: release
DELETE FROM hold WHERE tenant = :tenant AND lineage = :lineage;

-- name: note_hold
INSERT INTO hold (tenant, lineage, seq, at, why, by)
VALUES (:tenant, :lineage, :seq, :at, :why, :by);

-- name: holds
SELECT lineage, seq, at, why, by FROM hold WHERE tenant = :tenant ORDER BY lineage, seq, at;

-- name: tables
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%';

-- name: tenants
-- Whether anything is known here, and whether anything of this tenant is.
SELECT EXISTS (SELECT 1 FROM point), EXISTS (SELECT 1 FROM point WHERE tenant = :tenant);

-- name: images
SELECT identity, source, label, policy, first_seen, last_seen, gone_at, renamed_from
FROM image;

-- name: note_image
INSERT INTO image (identity, source, label, policy, first_seen, last_seen, gone_at, renamed_from)
VALUES (:identity, :source, :label, :policy, :first_seen, :last_seen, :gone_at, :renamed_from)
ON CONFLICT (identity) DO UPDATE SET
    source = excluded.source, label = excluded.label, policy = excluded.policy,
    last_seen = excluded.last_seen, gone_at = excluded.gone_at, renamed_from = excluded.renamed_from;

-- name: drop_image
DELETE FROM image WHERE identity = :identity;

-- name: forget_run
DELETE FROM run WHERE run = :run;

-- name: note_run
INSERT INTO run (run, kind, subject, label, source, policy, started_at, slot, ended_at, outcome,
                 exit_code, code, message, seq, lineage, bytes_read, bytes_changed, bytes_uploaded,
                 seconds, hint, latest)
VALUES (:run, :kind, :subject, :label, :source, :policy, :started_at, :slot, :ended_at, :outcome,
        :exit_code, :code, :message, :seq, :lineage, :bytes_read, :bytes_changed, :bytes_uploaded,
        :seconds, :hint, :latest);

-- name: no_longer_latest
UPDATE run SET latest = 0 WHERE kind = :kind AND subject = :subject AND latest = 1;

-- name: trim_subject
-- What is not among the newest :keep of one subject, but never one that still runs.
DELETE FROM run WHERE kind = :kind AND subject = :subject AND latest = 0 AND outcome IS NOT NULL
AND number <= (SELECT number FROM run WHERE kind = :kind AND subject = :subject
               ORDER BY number DESC LIMIT 1 OFFSET :keep);

-- name: trim_all
-- Numbers grow by one: so many at most are left, besides the last of each subject.
DELETE FROM run WHERE latest = 0 AND outcome IS NOT NULL
AND number <= (SELECT max(number) - :keep FROM run);

-- name: runs
SELECT run, kind, subject, label, source, policy, started_at, slot, ended_at, outcome, exit_code, code,
       message, seq, lineage, bytes_read, bytes_changed, bytes_uploaded, seconds, hint
FROM run WHERE (:kind = '' OR kind = :kind) ORDER BY number DESC LIMIT :limit;

-- name: runs_of
SELECT run, kind, subject, label, source, policy, started_at, slot, ended_at, outcome, exit_code, code,
       message, seq, lineage, bytes_read, bytes_changed, bytes_uploaded, seconds, hint
FROM run WHERE subject = :subject AND (:kind = '' OR kind = :kind) ORDER BY number DESC LIMIT :limit;

-- name: last_runs
SELECT run, kind, subject, label, source, policy, started_at, slot, ended_at, outcome, exit_code, code,
       message, seq, lineage, bytes_read, bytes_changed, bytes_uploaded, seconds, hint
FROM run WHERE kind = :kind AND latest = 1;

-- name: running
SELECT run, kind, subject, label, source, policy, started_at, slot, ended_at, outcome, exit_code, code,
       message, seq, lineage, bytes_read, bytes_changed, bytes_uploaded, seconds, hint
FROM run WHERE outcome IS NULL ORDER BY number;

-- name: note_deed
INSERT INTO deed (run, kind, subject, policy, started_at, ended_at, outcome, exit_code, code, message,
                  hint, seq, seconds, facts)
VALUES (:run, :kind, :subject, :policy, :started_at, :ended_at, :outcome, :exit_code, :code, :message,
        :hint, :seq, :seconds, :facts);

-- name: deeds_of
SELECT run, kind, subject, policy, started_at, ended_at, outcome, exit_code, code, message, hint, seq,
       seconds, facts
FROM deed WHERE subject = :lineage ORDER BY number DESC LIMIT :limit;

-- name: deeds_of_run
SELECT run, kind, subject, policy, started_at, ended_at, outcome, exit_code, code, message, hint, seq,
       seconds, facts
FROM deed WHERE run = :run ORDER BY number DESC LIMIT :limit;

-- name: trim_deeds
DELETE FROM deed WHERE kind = :kind AND subject = :subject
AND number <= (SELECT number FROM deed WHERE kind = :kind AND subject = :subject
               ORDER BY number DESC LIMIT 1 OFFSET :keep);

-- name: trim_all_deeds
DELETE FROM deed WHERE number <= (SELECT max(number) - :keep FROM deed);

-- name: pauses
SELECT subject, failures, until, code, message FROM pause;

-- name: note_pause
INSERT OR REPLACE INTO pause (subject, failures, until, code, message)
VALUES (:subject, :failures, :until, :code, :message);

-- name: end_pause
DELETE FROM pause WHERE subject = :subject;

-- name: note_tick
INSERT OR REPLACE INTO tick (only, at) VALUES (1, :at);

-- name: last_tick
SELECT at FROM tick;
