-- Tables end in _raw and may hold a row more than once until ClickHouse merges; read the views of 0002, never these.
-- ${…} is filled in by migrate.py: database, on_cluster, replicated, and the retention in days.
-- Retention counts from the day a row arrived, not from its event time: replaying old logs must not lose them.

CREATE TABLE IF NOT EXISTS ${database}.inferences_raw ${on_cluster} (
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    id String,
    timestamp DateTime64(3, 'UTC'),
    application LowCardinality(String),
    model LowCardinality(String),
    provider LowCardinality(String),
    operation LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    tenant LowCardinality(String),
    input String CODEC(ZSTD(1)),
    output String CODEC(ZSTD(1)),
    system String CODEC(ZSTD(1)),
    contexts Array(String) CODEC(ZSTD(1)),
    input_chars UInt32,
    output_chars UInt32,
    truncated Bool,
    redactions UInt32,
    input_tokens Nullable(UInt32),
    output_tokens Nullable(UInt32),
    cache_read_tokens Nullable(UInt32),
    reasoning_tokens Nullable(UInt32),
    cost_usd Nullable(Float64),
    latency_ms Nullable(Float64),
    time_to_first_token_ms Nullable(Float64),
    error String,
    finish_reason LowCardinality(String),
    conversation_id String,
    trace_id String,
    span_id String,
    user_id String,
    tags Map(LowCardinality(String), String),
    scores Map(LowCardinality(String), Float32),
    abstained Map(LowCardinality(String), LowCardinality(String)),
    evidence String CODEC(ZSTD(1)),
    detectors Map(LowCardinality(String), LowCardinality(String)),
    encoder_revision LowCardinality(String),
    ingested_at DateTime64(3, 'UTC'),
    INDEX by_id id TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = ${replicated}ReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (application, timestamp, id)
TTL toDateTime(ingested_at) + INTERVAL ${inferences_days} DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS ${database}.embeddings_raw ${on_cluster} (
    application LowCardinality(String),
    field LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    id String,
    encoder_revision LowCardinality(String),
    vector Array(BFloat16) CODEC(ZSTD(1)),
    ingested_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (application, field, timestamp, id)
TTL toDateTime(ingested_at) + INTERVAL ${embeddings_days} DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- How far each source partition is stored, written after the rows themselves.
CREATE TABLE IF NOT EXISTS ${database}.progress_raw ${on_cluster} (
    topic LowCardinality(String),
    partition UInt32,
    next_offset SimpleAggregateFunction(max, UInt64),
    max_timestamp SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    updated_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (topic, partition)
SETTINGS non_replicated_deduplication_window = 1000;

-- One row per published revision of a window, written last: a revision without this row does not exist.
CREATE TABLE IF NOT EXISTS ${database}.windows_raw ${on_cluster} (
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    revision UInt32,
    rows UInt64,
    closed_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(closed_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, window_end, revision)
TTL toDateTime(closed_at) + INTERVAL ${window_metrics_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS ${database}.window_metrics_raw ${on_cluster} (
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    application LowCardinality(String),
    segment_dimension LowCardinality(String),
    segment_value String,
    metric LowCardinality(String),
    value Float64,
    n UInt64,
    total UInt64,
    ci_low Float64,
    ci_high Float64,
    revision UInt32,
    detail String CODEC(ZSTD(1)),
    published_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(published_at)
PARTITION BY toDate(window_start)
ORDER BY (application, metric, segment_dimension, segment_value, window_start, window_end, revision)
TTL toDateTime(published_at) + INTERVAL ${window_metrics_days} DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

-- Every transition of every alert instance; id is a function of (fingerprint, at, to_state).
CREATE TABLE IF NOT EXISTS ${database}.alerts_raw ${on_cluster} (
    id String,
    alert_id String,
    fingerprint String,
    rule LowCardinality(String),
    severity LowCardinality(String),
    labels Map(LowCardinality(String), String),
    from_state LowCardinality(String),
    to_state LowCardinality(String),
    at DateTime64(3, 'UTC'),
    since DateTime64(3, 'UTC'),
    metric LowCardinality(String),
    value Float64,
    threshold String,
    n UInt64,
    detail String CODEC(ZSTD(1)),
    decided_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(decided_at)
PARTITION BY toYYYYMM(at)
ORDER BY (fingerprint, at, id)
TTL toDateTime(decided_at) + INTERVAL ${alerts_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

-- Notifications to send: one row a notification and receiver, written with the transition that causes it.
CREATE TABLE IF NOT EXISTS ${database}.outbox_raw ${on_cluster} (
    id String,
    receiver LowCardinality(String),
    alert_id String,
    payload String CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC'),
    created_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(created_at)
PARTITION BY toYYYYMM(at)
ORDER BY (id, receiver)
TTL toDateTime(created_at) + INTERVAL ${alerts_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

-- What became of them: status is attempting, sent, retrying or failed.
CREATE TABLE IF NOT EXISTS ${database}.deliveries_raw ${on_cluster} (
    id String,
    receiver LowCardinality(String),
    attempt UInt32,
    status LowCardinality(String),
    error String,
    next_attempt_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (id, receiver, attempt, status)
TTL toDateTime(at) + INTERVAL ${alerts_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

-- One row a vector of a frozen drift baseline.
CREATE TABLE IF NOT EXISTS ${database}.references_raw ${on_cluster} (
    name LowCardinality(String),
    version UInt32,
    application LowCardinality(String),
    field LowCardinality(String),
    encoder_revision LowCardinality(String),
    position UInt32,
    id String,
    vector Array(Float32) CODEC(ZSTD(1)),
    period_start DateTime64(3, 'UTC'),
    period_end DateTime64(3, 'UTC'),
    created_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(created_at)
ORDER BY (application, field, name, version, position)
SETTINGS non_replicated_deduplication_window = 1000;

-- Which reference windows are compared with: the latest promotion of an application and field wins.
CREATE TABLE IF NOT EXISTS ${database}.promotions_raw ${on_cluster} (
    application LowCardinality(String),
    field LowCardinality(String),
    name LowCardinality(String),
    version UInt32,
    promoted_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(promoted_at)
ORDER BY (application, field, name, version, promoted_at)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS ${database}.dead_letters_raw ${on_cluster} (
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    reason LowCardinality(String),
    detail String,
    key String,
    value String CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC'),
    ingested_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (topic, partition, offset)
TTL toDateTime(ingested_at) + INTERVAL ${dead_letters_days} DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS ${database}.feedback_raw ${on_cluster} (
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    application LowCardinality(String),
    id String,
    timestamp DateTime64(3, 'UTC'),
    kind LowCardinality(String),
    value Nullable(Float64),
    label LowCardinality(String),
    comment String,
    ingested_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(ingested_at)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (application, id, timestamp, kind)
TTL toDateTime(ingested_at) + INTERVAL ${inferences_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS ${database}.reviews_raw ${on_cluster} (
    application LowCardinality(String),
    id String,
    reviewer String,
    label LowCardinality(String),
    comment String,
    at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(at)
ORDER BY (application, id, reviewer)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS ${database}.audit_log_raw ${on_cluster} (
    at DateTime64(3, 'UTC'),
    actor String,
    action LowCardinality(String),
    subject String,
    detail String
) ENGINE = ${replicated}ReplacingMergeTree(at)
ORDER BY (at, actor, action, subject)
SETTINGS non_replicated_deduplication_window = 1000;
