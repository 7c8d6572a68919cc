-- Windows that several processes may publish at once, and what arrived for which of them.

-- An edition is a hash of a published window's numbers: the numbers of two publishers of one revision never mix,
-- because the views show only those of the edition that won.
ALTER TABLE ${database}.windows_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS feedback UInt64,
    ADD COLUMN IF NOT EXISTS edition UInt64,
    MODIFY ORDER BY (window_start, window_end, revision, edition);

ALTER TABLE ${database}.window_metrics_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS edition UInt64,
    MODIFY ORDER BY (application, metric, segment_dimension, segment_value, window_start, window_end, revision, edition);

-- A row with pane = 1970 holds a partition's progress; one with another pane says that records up to next_offset
-- fell into [pane, max_timestamp]. Those are read within seconds, and dropped when no clock error can matter.
ALTER TABLE ${database}.progress_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS pane DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS noted_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT now64(3),
    MODIFY ORDER BY (topic, partition, pane);

ALTER TABLE ${database}.progress_raw ${on_cluster}
    MODIFY TTL toDateTime(noted_at) + INTERVAL 8 DAY DELETE WHERE pane > toDateTime64(0, 3, 'UTC');

-- Two processes that take up the same attempt see each other by it.
ALTER TABLE ${database}.deliveries_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS owner String,
    MODIFY ORDER BY (id, receiver, attempt, status, owner);

CREATE OR REPLACE VIEW ${database}.progress ${on_cluster} AS
SELECT topic, partition, max(next_offset) AS next_offset, max(max_timestamp) AS max_timestamp, max(updated_at) AS updated_at
FROM ${database}.progress_raw WHERE pane = toDateTime64(0, 3, 'UTC') GROUP BY topic, partition;

-- Of two editions of one revision the one that has seen more counts.
CREATE OR REPLACE VIEW ${database}.windows ${on_cluster} AS
SELECT w.window_start AS window_start, w.window_end AS window_end,
    argMax(w.rows, (w.revision, w.rows, w.feedback, w.edition)) AS rows,
    argMax(w.feedback, (w.revision, w.rows, w.feedback, w.edition)) AS feedback,
    argMax(w.closed_at, (w.revision, w.rows, w.feedback, w.edition)) AS closed_at,
    max(w.revision) AS revision,
    argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition)) AS edition
FROM ${database}.windows_raw AS w GROUP BY w.window_start, w.window_end;

CREATE OR REPLACE VIEW ${database}.window_metrics ${on_cluster} AS
SELECT * FROM ${database}.window_metrics_raw FINAL
WHERE (window_start, window_end, revision, edition) IN (
    SELECT w.window_start, w.window_end, max(w.revision), argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition))
    FROM ${database}.windows_raw AS w GROUP BY w.window_start, w.window_end
);

CREATE OR REPLACE VIEW ${database}.deliveries ${on_cluster} AS SELECT * FROM ${database}.deliveries_raw FINAL;
