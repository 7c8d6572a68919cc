-- What a window leaves behind for drift over time: how many rows of it were compared with which reference, and the sum of
-- their features, so that windows can be pooled without their rows.
CREATE TABLE IF NOT EXISTS ${database}.drift_windows_raw ${on_cluster} (
    application LowCardinality(String),
    field LowCardinality(String),
    reference LowCardinality(String),
    reference_version UInt32,
    encoder_revision LowCardinality(String),
    features LowCardinality(String),
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    revision UInt32,
    rows UInt64,
    sampled UInt32,
    total Array(Float64) CODEC(ZSTD(1)),
    computed_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (application, field, reference, reference_version, encoder_revision, features, window_end, window_start, revision, rows)
TTL toDateTime(computed_at) + INTERVAL ${embeddings_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

-- The latest revision of every window; of two closers' rows of one revision, those of the one that had seen more.
CREATE OR REPLACE VIEW ${database}.drift_windows ${on_cluster} AS
SELECT d.application AS application, d.field AS field, d.reference AS reference, d.reference_version AS reference_version,
    d.encoder_revision AS encoder_revision, d.features AS features, d.window_start AS window_start,
    d.window_end AS window_end, max(d.revision) AS revision,
    argMax(d.rows, (d.revision, d.rows)) AS rows, argMax(d.sampled, (d.revision, d.rows)) AS sampled,
    argMax(d.total, (d.revision, d.rows)) AS total, max(d.computed_at) AS computed_at
FROM ${database}.drift_windows_raw AS d
GROUP BY d.application, d.field, d.reference, d.reference_version, d.encoder_revision, d.features, d.window_start, d.window_end;
