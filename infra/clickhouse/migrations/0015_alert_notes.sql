-- What people say on an alert: notes, and that somebody has it in hand (kind: note, acknowledgement).
CREATE TABLE IF NOT EXISTS ${database}.alert_notes_raw ${on_cluster} (
    id String,
    alert_id String,
    kind LowCardinality(String),
    author String,
    text String,
    at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (alert_id, id)
TTL toDateTime(at) + INTERVAL ${alerts_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW ${database}.alert_notes ${on_cluster} AS SELECT * FROM ${database}.alert_notes_raw FINAL;
