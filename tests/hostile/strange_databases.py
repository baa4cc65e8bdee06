"""What strangers do to a database, as statements by name: `conftest.change` runs them."""

NULLABLE = "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE rootpage > 0"
HUGE = "replace(hex(zeroblob(500000)), '00', 'ab')"
CASES = {
    "text in lr": ["UPDATE trial SET lr = 'much'"],
    "text in a count": ["UPDATE trial SET leaked_steps = 'many', first_leak_step = 'x'"],
    "bytes in a word": ["UPDATE trial SET optimizer = x'00ff', zero_grad = x'01'"],
    "bytes in an error": ["UPDATE trial SET error = x'ff', verdict = 'failed'"],
    "text that is not utf-8": ["UPDATE trial SET error = CAST(x'ff' AS TEXT), verdict = 'failed'"],
    "a verdict of its own": ["UPDATE trial SET verdict = 'perhaps'"],
    "no time": ["UPDATE trial SET finished_at = 'noon'", "UPDATE sweep SET created_at = 'noon'"],
    "text in planned": ["UPDATE sweep SET planned = 'all'"],
    "an infinite planned": ["UPDATE sweep SET planned = 9e999"],
    "infinite numbers": ["UPDATE trial SET lr = 9e999, train_seconds = 9e999, max_drift = 9e999"],
    "numbers for times": ["UPDATE trial SET finished_at = 7", "UPDATE sweep SET created_at = 7"],
    "bytes for times": ["UPDATE trial SET finished_at = x'00', train_seconds = x'00'"],
    "times of long ago": ["UPDATE trial SET finished_at = '0001-01-01 00:00:00'"],
    "an environment that is gone": ["DELETE FROM environment"],
    "bytes in an environment": ["UPDATE environment SET torch = x'00ff', threads = 'many'"],
    "a proposal that is none": ["UPDATE trial SET proposal = x'00ff'"],
    "a spec that is none": ["UPDATE sweep SET spec = 'SELECT 1'"],
    "a spec of wrong things": ["""UPDATE sweep SET spec = '{"grid": [1], "options": []}'"""],
    "a deep spec": ["UPDATE sweep SET spec = replace(hex(zeroblob(50000)), '00', '[')"],
    "options that are none": ["UPDATE trial SET options = '['"],
    "a sweep that is gone": ["DELETE FROM sweep"],
    "a huge integer": ["UPDATE trial SET seed = 9223372036854775807, steps = 4611686018427387904"],
    "sql in a name": ["UPDATE sweep SET name = '''; DROP TABLE trial; --'"],
    "code in names": ["UPDATE trial SET optimizer = 'os:system', workload = 'os:abort'"],
    "a missing view": ["DROP VIEW leak_rate_by_setting"],
    "an endless view": [
        "DROP VIEW leak_rate_by_setting",
        "CREATE VIEW leak_rate_by_setting AS WITH RECURSIVE a(x) AS "
        "(SELECT 1 UNION ALL SELECT x FROM a) SELECT * FROM a",
    ],
    "a trigger": [
        "CREATE TRIGGER theirs AFTER INSERT ON trial BEGIN DELETE FROM sweep WHERE 0; END"
    ],
    "a trigger that loads": [
        "CREATE TRIGGER theirs AFTER INSERT ON trial BEGIN SELECT load_extension('x'); END"
    ],
    "a view that loads": [
        "DROP VIEW leak_rate_by_setting",
        "CREATE VIEW leak_rate_by_setting AS SELECT load_extension('/tmp/x.so')",
    ],
    "a virtual table": ["CREATE VIRTUAL TABLE theirs USING fts5(a)"],
    "a generated column": ["ALTER TABLE trial ADD COLUMN theirs AS (abs(lr) || hex(zeroblob(10)))"],
    "a newer schema": ["UPDATE alembic_version SET version_num = 'leaksweep_9999'"],
    "another program": ["DROP TABLE alembic_version"],
    "a huge text": [f"UPDATE trial SET error = {HUGE}, verdict = 'failed'"],
    "a huge blob": ["UPDATE trial SET error = zeroblob(1000000), verdict = 'failed'"],
    "a huge name": [f"UPDATE trial SET optimizer = {HUGE}"],
    "a huge sweep": [f"UPDATE sweep SET name = {HUGE}"],
    "no table": ["DROP TABLE step"],
    "counts below 0": [
        "UPDATE trial SET leaked_steps = -5, seed = -1",
        "UPDATE step SET step = -1",
    ],
    "seconds below 0": ["UPDATE trial SET train_seconds = -1e300"],
    "a planned below 0": ["UPDATE sweep SET planned = -3"],
    "causes of its own": ["UPDATE trial SET causes = 'magic', unexplained = x'00'"],
    "words of its own": ["UPDATE trial SET zero_grad = 'often', freeze = 'hard', schedule = 'x:y'"],
    "flags of its own": ["UPDATE trial SET moved = 7, diverged = 'yes', by_history = x'01'"],
    "steps of a wrong kind": ["UPDATE step SET loss = x'00', grad = 'odd', max_change = 'far'"],
    "a step of no trial": ["UPDATE step SET trial_id = 77"],
    "nulls in words": [NULLABLE, "UPDATE trial SET optimizer = NULL, zero_grad = NULL"],
    "nulls in numbers": [NULLABLE, "UPDATE trial SET steps = NULL, train_seconds = NULL"],
    "nulls for ids": [NULLABLE, "UPDATE trial SET environment_id = NULL, sweep_id = NULL"],
    "nulls in a sweep": [NULLABLE, "UPDATE sweep SET spec = NULL, created_at = NULL"],
    "numbers in texts": ["UPDATE sweep SET spec = 7, name = 8", "UPDATE trial SET options = 9"],
    "an extra column": ["ALTER TABLE trial ADD COLUMN theirs TEXT NOT NULL DEFAULT 'x'"],
    "a view for a table": [
        "ALTER TABLE trial RENAME TO theirs",
        "CREATE VIEW trial AS SELECT * FROM theirs",
    ],
    "a virtual table for a table": ["DROP TABLE step", "CREATE VIRTUAL TABLE step USING fts5(a)"],
    "a trigger that writes": [
        "CREATE TRIGGER theirs AFTER UPDATE ON sweep BEGIN DELETE FROM trial; END"
    ],
    "two fingerprints": [
        "UPDATE sqlite_master SET sql = replace(sql, 'UNIQUE (sweep_id, fingerprint)', 'CHECK (1)')"
        " WHERE name = 'trial'",
        "DELETE FROM sqlite_master WHERE name = 'sqlite_autoindex_trial_1'",
        "UPDATE trial SET fingerprint = 'one'",
    ],
}
