CREATE TABLE IF NOT EXISTS watch.schema_migrations ON CLUSTER `main` (
    name String,
    checksum String,
    retention Map(String, String),
    applied_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(applied_at)
ORDER BY name;

CREATE TABLE IF NOT EXISTS watch.inferences_raw ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (application, timestamp, id)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.embeddings_raw ON CLUSTER `main` (
    application LowCardinality(String),
    field LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    id String,
    encoder_revision LowCardinality(String),
    vector Array(BFloat16) CODEC(ZSTD(1)),
    ingested_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (application, field, timestamp, id)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.progress_raw ON CLUSTER `main` (
    topic LowCardinality(String),
    partition UInt32,
    next_offset SimpleAggregateFunction(max, UInt64),
    max_timestamp SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    updated_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = ReplicatedAggregatingMergeTree
ORDER BY (topic, partition)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.windows_raw ON CLUSTER `main` (
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    revision UInt32,
    rows UInt64,
    closed_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(closed_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, window_end, revision)
TTL toDateTime(closed_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.window_metrics_raw ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree(published_at)
PARTITION BY toDate(window_start)
ORDER BY (application, metric, segment_dimension, segment_value, window_start, window_end, revision)
TTL toDateTime(published_at) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.alerts_raw ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree(decided_at)
PARTITION BY toYYYYMM(at)
ORDER BY (fingerprint, at, id)
TTL toDateTime(decided_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.outbox_raw ON CLUSTER `main` (
    id String,
    receiver LowCardinality(String),
    alert_id String,
    payload String CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC'),
    created_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(created_at)
PARTITION BY toYYYYMM(at)
ORDER BY (id, receiver)
TTL toDateTime(created_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.deliveries_raw ON CLUSTER `main` (
    id String,
    receiver LowCardinality(String),
    attempt UInt32,
    status LowCardinality(String),
    error String,
    next_attempt_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (id, receiver, attempt, status)
TTL toDateTime(at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.references_raw ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree(created_at)
ORDER BY (application, field, name, version, position)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.promotions_raw ON CLUSTER `main` (
    application LowCardinality(String),
    field LowCardinality(String),
    name LowCardinality(String),
    version UInt32,
    promoted_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(promoted_at)
ORDER BY (application, field, name, version, promoted_at)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.dead_letters_raw ON CLUSTER `main` (
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    reason LowCardinality(String),
    detail String,
    key String,
    value String CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC'),
    ingested_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (topic, partition, offset)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.feedback_raw ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree(ingested_at)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (application, id, timestamp, kind)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.reviews_raw ON CLUSTER `main` (
    application LowCardinality(String),
    id String,
    reviewer String,
    label LowCardinality(String),
    comment String,
    at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(at)
ORDER BY (application, id, reviewer)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS watch.audit_log_raw ON CLUSTER `main` (
    at DateTime64(3, 'UTC'),
    actor String,
    action LowCardinality(String),
    subject String,
    detail String
) ENGINE = ReplicatedReplacingMergeTree(at)
ORDER BY (at, actor, action, subject)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW watch.inferences ON CLUSTER `main` AS
SELECT *,
     
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM watch.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW watch.embeddings ON CLUSTER `main` AS
 
SELECT * REPLACE (CAST(vector AS Array(Float32)) AS vector)
FROM watch.embeddings_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW watch.progress ON CLUSTER `main` AS
SELECT topic, partition, max(next_offset) AS next_offset, max(max_timestamp) AS max_timestamp, max(updated_at) AS updated_at
FROM watch.progress_raw GROUP BY topic, partition;

CREATE OR REPLACE VIEW watch.windows ON CLUSTER `main` AS
SELECT w.window_start AS window_start, w.window_end AS window_end, argMax(w.rows, w.revision) AS rows,
    argMax(w.closed_at, w.revision) AS closed_at, max(w.revision) AS revision
FROM watch.windows_raw AS w GROUP BY w.window_start, w.window_end;

CREATE OR REPLACE VIEW watch.window_metrics ON CLUSTER `main` AS
SELECT * FROM watch.window_metrics_raw FINAL
WHERE (window_start, window_end, revision) IN
    (SELECT window_start, window_end, max(revision) FROM watch.windows_raw GROUP BY window_start, window_end);

CREATE OR REPLACE VIEW watch.alerts ON CLUSTER `main` AS SELECT * FROM watch.alerts_raw FINAL;

CREATE OR REPLACE VIEW watch.outbox ON CLUSTER `main` AS SELECT * FROM watch.outbox_raw FINAL;

CREATE OR REPLACE VIEW watch.deliveries ON CLUSTER `main` AS SELECT * FROM watch.deliveries_raw FINAL;

CREATE OR REPLACE VIEW watch.references ON CLUSTER `main` AS SELECT * FROM watch.references_raw FINAL;

CREATE OR REPLACE VIEW watch.promotions ON CLUSTER `main` AS SELECT * FROM watch.promotions_raw FINAL;

CREATE OR REPLACE VIEW watch.dead_letters ON CLUSTER `main` AS
SELECT * FROM watch.dead_letters_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW watch.feedback ON CLUSTER `main` AS SELECT * FROM watch.feedback_raw FINAL;

CREATE OR REPLACE VIEW watch.reviews ON CLUSTER `main` AS SELECT * FROM watch.reviews_raw FINAL;

CREATE OR REPLACE VIEW watch.audit_log ON CLUSTER `main` AS SELECT * FROM watch.audit_log_raw FINAL;

ALTER TABLE watch.windows_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS feedback UInt64,
    ADD COLUMN IF NOT EXISTS edition UInt64,
    MODIFY ORDER BY (window_start, window_end, revision, edition);

ALTER TABLE watch.window_metrics_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS edition UInt64,
    MODIFY ORDER BY (application, metric, segment_dimension, segment_value, window_start, window_end, revision, edition);

ALTER TABLE watch.progress_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS pane DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS noted_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT now64(3),
    MODIFY ORDER BY (topic, partition, pane);

ALTER TABLE watch.progress_raw ON CLUSTER `main`
    MODIFY TTL toDateTime(noted_at) + INTERVAL 8 DAY DELETE WHERE pane > toDateTime64(0, 3, 'UTC');

ALTER TABLE watch.deliveries_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS owner String,
    MODIFY ORDER BY (id, receiver, attempt, status, owner);

CREATE OR REPLACE VIEW watch.progress ON CLUSTER `main` AS
SELECT topic, partition, max(next_offset) AS next_offset, max(max_timestamp) AS max_timestamp, max(updated_at) AS updated_at
FROM watch.progress_raw WHERE pane = toDateTime64(0, 3, 'UTC') GROUP BY topic, partition;

CREATE OR REPLACE VIEW watch.windows ON CLUSTER `main` AS
SELECT w.window_start AS window_start, w.window_end AS window_end,
    argMax(w.rows, (w.revision, w.rows, w.feedback, w.edition)) AS rows,
    argMax(w.feedback, (w.revision, w.rows, w.feedback, w.edition)) AS feedback,
    argMax(w.closed_at, (w.revision, w.rows, w.feedback, w.edition)) AS closed_at,
    max(w.revision) AS revision,
    argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition)) AS edition
FROM watch.windows_raw AS w GROUP BY w.window_start, w.window_end;

CREATE OR REPLACE VIEW watch.window_metrics ON CLUSTER `main` AS
SELECT * FROM watch.window_metrics_raw FINAL
WHERE (window_start, window_end, revision, edition) IN (
    SELECT w.window_start, w.window_end, max(w.revision), argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition))
    FROM watch.windows_raw AS w GROUP BY w.window_start, w.window_end
);

CREATE OR REPLACE VIEW watch.deliveries ON CLUSTER `main` AS SELECT * FROM watch.deliveries_raw FINAL;

ALTER TABLE watch.inferences_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS inclusion Map(LowCardinality(String), Float32) AFTER abstained;

CREATE TABLE IF NOT EXISTS watch.sampling_plans_raw ON CLUSTER `main` (
    application LowCardinality(String),
    detector LowCardinality(String),
    effective_from DateTime64(3, 'UTC'),
    budget LowCardinality(String),
    counts Array(UInt64),
    probabilities Array(Float32),
    planned_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(planned_at)
PARTITION BY toYYYYMM(effective_from)
ORDER BY (effective_from, application, detector)
TTL toDateTime(planned_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watch.sampling_plans ON CLUSTER `main` AS SELECT * FROM watch.sampling_plans_raw FINAL;

CREATE OR REPLACE VIEW watch.inferences ON CLUSTER `main` AS
SELECT *,
     
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM watch.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE watch.inferences_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS chunks UInt16 AFTER truncated;

CREATE OR REPLACE VIEW watch.inferences ON CLUSTER `main` AS
SELECT *,
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM watch.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE watch.inferences_raw ON CLUSTER `main` DROP INDEX IF EXISTS by_id;

ALTER TABLE watch.inferences_raw ON CLUSTER `main`
    ADD INDEX IF NOT EXISTS known_ids id TYPE bloom_filter(0.00001) GRANULARITY 1;

ALTER TABLE watch.inferences_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.embeddings_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.progress_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.windows_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.window_metrics_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.alerts_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.outbox_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.deliveries_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.references_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.promotions_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.dead_letters_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.feedback_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.reviews_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE watch.audit_log_raw ON CLUSTER `main` MODIFY SETTING non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS watch.drift_windows_raw ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (application, field, reference, reference_version, encoder_revision, features, window_end, window_start, revision, rows)
TTL toDateTime(computed_at) + INTERVAL 30 DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watch.drift_windows ON CLUSTER `main` AS
SELECT d.application AS application, d.field AS field, d.reference AS reference, d.reference_version AS reference_version,
    d.encoder_revision AS encoder_revision, d.features AS features, d.window_start AS window_start,
    d.window_end AS window_end, max(d.revision) AS revision,
    argMax(d.rows, (d.revision, d.rows)) AS rows, argMax(d.sampled, (d.revision, d.rows)) AS sampled,
    argMax(d.total, (d.revision, d.rows)) AS total, max(d.computed_at) AS computed_at
FROM watch.drift_windows_raw AS d
GROUP BY d.application, d.field, d.reference, d.reference_version, d.encoder_revision, d.features, d.window_start, d.window_end;

ALTER TABLE watch.references_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS timestamp DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS slot UInt16,
    ADD COLUMN IF NOT EXISTS season String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String),
    ADD COLUMN IF NOT EXISTS dispersion Float64 DEFAULT 1,
    ADD COLUMN IF NOT EXISTS verdict String CODEC(ZSTD(1));

ALTER TABLE watch.promotions_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS effective_from DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS encoder_revision LowCardinality(String),
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String);

CREATE TABLE IF NOT EXISTS watch.deploys_raw ON CLUSTER `main` (
    application LowCardinality(String),
    dimension LowCardinality(String),
    value String,
    previous String,
    at DateTime64(3, 'UTC'),
    first_seen DateTime64(3, 'UTC'),
    noted_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(noted_at)
ORDER BY (application, dimension, value, at)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watch.deploys ON CLUSTER `main` AS SELECT * FROM watch.deploys_raw FINAL;

CREATE OR REPLACE VIEW watch.references ON CLUSTER `main` AS SELECT * FROM watch.references_raw FINAL;

CREATE OR REPLACE VIEW watch.promotions ON CLUSTER `main` AS SELECT * FROM watch.promotions_raw FINAL;

CREATE OR REPLACE VIEW watch.reference_versions ON CLUSTER `main` AS
SELECT r.application AS application, r.field AS field, r.name AS name, r.version AS version,
    any(r.encoder_revision) AS encoder_revision, uniqExact(r.position) AS rows, uniqExact(r.slot) AS slots,
    any(r.origin) AS origin, any(r.season) AS season, any(r.dispersion) AS dispersion, any(r.verdict) AS verdict,
    min(r.period_start) AS period_start, max(r.period_end) AS period_end, max(r.created_at) AS created_at
FROM watch.references_raw AS r GROUP BY r.application, r.field, r.name, r.version;

CREATE TABLE IF NOT EXISTS watch.reference_columns_raw ON CLUSTER `main` (
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
) ENGINE = ReplicatedReplacingMergeTree
ORDER BY (application, field, name, version, segment_dimension, segment_value, column_name, created_at)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watch.reference_columns ON CLUSTER `main` AS
SELECT * FROM watch.reference_columns_raw
ORDER BY created_at
LIMIT 1 BY application, field, name, version, segment_dimension, segment_value, column_name;

ALTER TABLE watch.alerts_raw ON CLUSTER `main` ADD COLUMN IF NOT EXISTS sequence UInt32;

CREATE OR REPLACE VIEW watch.alerts ON CLUSTER `main` AS SELECT * FROM watch.alerts_raw FINAL;

ALTER TABLE watch.windows_raw ON CLUSTER `main` ADD COLUMN IF NOT EXISTS passed DateTime64(3, 'UTC');

CREATE TABLE IF NOT EXISTS watch.severe_rows_raw ON CLUSTER `main` (
    rule LowCardinality(String),
    application LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    id String,
    score SimpleAggregateFunction(max, Float64),
    alert_id SimpleAggregateFunction(max, String),
    noted_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = ReplicatedAggregatingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (rule, application, timestamp, id)
TTL toDateTime(noted_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watch.severe_rows ON CLUSTER `main` AS
SELECT s.rule AS rule, s.application AS application, s.timestamp AS timestamp, s.id AS id, max(s.score) AS score,
    max(s.alert_id) AS alert_id, max(s.noted_at) AS noted_at
FROM watch.severe_rows_raw AS s GROUP BY s.rule, s.application, s.timestamp, s.id;

CREATE OR REPLACE VIEW watch.windows ON CLUSTER `main` AS
SELECT w.window_start AS window_start, w.window_end AS window_end,
    argMax(w.rows, (w.revision, w.rows, w.feedback, w.edition)) AS rows,
    argMax(w.feedback, (w.revision, w.rows, w.feedback, w.edition)) AS feedback,
    argMax(w.closed_at, (w.revision, w.rows, w.feedback, w.edition)) AS closed_at,
    max(w.revision) AS revision,
    argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition)) AS edition,
    argMax(w.passed, (w.revision, w.rows, w.feedback, w.edition)) AS passed
FROM watch.windows_raw AS w GROUP BY w.window_start, w.window_end;

ALTER TABLE watch.outbox_raw ON CLUSTER `main`
    ADD COLUMN IF NOT EXISTS group_key String DEFAULT concat('alert/', alert_id),
    ADD COLUMN IF NOT EXISTS previous String,
    ADD COLUMN IF NOT EXISTS reason LowCardinality(String),
    ADD COLUMN IF NOT EXISTS told Map(String, LowCardinality(String)) DEFAULT map(alert_id, JSONExtractString(payload, 'status')),
    ADD COLUMN IF NOT EXISTS dedup_key String DEFAULT concat('inferwatch/', alert_id);

ALTER TABLE watch.outbox_raw ON CLUSTER `main` MATERIALIZE COLUMN told;

CREATE OR REPLACE VIEW watch.outbox ON CLUSTER `main` AS
SELECT id, receiver, group_key, previous, reason, alert_id, told, dedup_key, payload, at, created_at
FROM watch.outbox_raw FINAL WHERE receiver != '';

CREATE TABLE IF NOT EXISTS watch.silences_raw ON CLUSTER `main` (
    id String,
    matchers Array(String),
    starts_at DateTime64(3, 'UTC'),
    ends_at DateTime64(3, 'UTC'),
    author String,
    comment String,
    created_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(updated_at)
ORDER BY id
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watch.silences ON CLUSTER `main` AS SELECT * FROM watch.silences_raw FINAL;

CREATE TABLE IF NOT EXISTS watch.alert_notes_raw ON CLUSTER `main` (
    id String,
    alert_id String,
    kind LowCardinality(String),
    author String,
    text String,
    at DateTime64(3, 'UTC')
) ENGINE = ReplicatedReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (alert_id, id)
TTL toDateTime(at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW watch.alert_notes ON CLUSTER `main` AS SELECT * FROM watch.alert_notes_raw FINAL;

ALTER TABLE watch.inferences_raw ON CLUSTER `main`
    ADD INDEX IF NOT EXISTS by_offset offset TYPE minmax GRANULARITY 1;

CREATE OR REPLACE VIEW watch.dead_letters ON CLUSTER `main` AS
SELECT * FROM watch.dead_letters_raw FINAL
WHERE reason != 'duplicate_id' OR (topic, partition, offset) NOT IN (
    SELECT topic, partition, offset FROM watch.inferences_raw
    WHERE (topic, partition, offset) IN (
        SELECT topic, partition, offset FROM watch.dead_letters_raw WHERE reason = 'duplicate_id'
    )
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE watch.inferences_raw ON CLUSTER `main` MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE watch.embeddings_raw ON CLUSTER `main` MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE watch.progress_raw ON CLUSTER `main` MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE watch.dead_letters_raw ON CLUSTER `main` MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE watch.severe_rows_raw ON CLUSTER `main` MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE watch.feedback_raw ON CLUSTER `main` MODIFY SETTING concurrent_part_removal_threshold = 1000000;

