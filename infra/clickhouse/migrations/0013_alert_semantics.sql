-- Transitions are numbered within their instance: an episode that ends where another begins, and a revised window, make
-- several at one moment. Rows from before have 0, and at most one transition a moment.
ALTER TABLE ${database}.alerts_raw ${on_cluster} ADD COLUMN IF NOT EXISTS sequence UInt32;

CREATE OR REPLACE VIEW ${database}.alerts ${on_cluster} AS SELECT * FROM ${database}.alerts_raw FINAL;

-- Up to which event time windows without rows had been judged when a window was published: what a back-test needs to see
-- silences as they were seen.
ALTER TABLE ${database}.windows_raw ${on_cluster} ADD COLUMN IF NOT EXISTS passed DateTime64(3, 'UTC');

-- Rows that a rule on single rows asks for, noted before the progress that covers them; alert_id once an alert has taken
-- one in. The same row noted again is the same row.
CREATE TABLE IF NOT EXISTS ${database}.severe_rows_raw ${on_cluster} (
    rule LowCardinality(String),
    application LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    id String,
    score SimpleAggregateFunction(max, Float64),
    alert_id SimpleAggregateFunction(max, String),
    noted_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (rule, application, timestamp, id)
TTL toDateTime(noted_at) + INTERVAL ${alerts_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW ${database}.severe_rows ${on_cluster} AS
SELECT s.rule AS rule, s.application AS application, s.timestamp AS timestamp, s.id AS id, max(s.score) AS score,
    max(s.alert_id) AS alert_id, max(s.noted_at) AS noted_at
FROM ${database}.severe_rows_raw AS s GROUP BY s.rule, s.application, s.timestamp, s.id;

CREATE OR REPLACE VIEW ${database}.windows ${on_cluster} AS
SELECT w.window_start AS window_start, w.window_end AS window_end,
    argMax(w.rows, (w.revision, w.rows, w.feedback, w.edition)) AS rows,
    argMax(w.feedback, (w.revision, w.rows, w.feedback, w.edition)) AS feedback,
    argMax(w.closed_at, (w.revision, w.rows, w.feedback, w.edition)) AS closed_at,
    max(w.revision) AS revision,
    argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition)) AS edition,
    argMax(w.passed, (w.revision, w.rows, w.feedback, w.edition)) AS passed
FROM ${database}.windows_raw AS w GROUP BY w.window_start, w.window_end;
