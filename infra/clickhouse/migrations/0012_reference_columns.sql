-- What the columns of the rows of a drift baseline's period were like, kept for as long as the baseline itself: the rows
-- expire. One row a column and series; of two processes that write the same, the first counts.
CREATE TABLE IF NOT EXISTS ${database}.reference_columns_raw ${on_cluster} (
    application LowCardinality(String),
    field LowCardinality(String),
    name LowCardinality(String),
    version UInt32,
    segment_dimension LowCardinality(String),
    segment_value String,
    column_name LowCardinality(String),
    numbers Array(Float64) CODEC(ZSTD(1)),
    labels Array(String),
    counts Array(UInt64),
    created_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (application, field, name, version, segment_dimension, segment_value, column_name, created_at)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW ${database}.reference_columns ${on_cluster} AS
SELECT * FROM ${database}.reference_columns_raw
ORDER BY created_at
LIMIT 1 BY application, field, name, version, segment_dimension, segment_value, column_name;
