CREATE TABLE IF NOT EXISTS inferwatch.schema_migrations  (
    name String,
    checksum String,
    retention Map(String, String),
    applied_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(applied_at)
ORDER BY name;

CREATE TABLE IF NOT EXISTS inferwatch.inferences_raw  (
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
) ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (application, timestamp, id)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.embeddings_raw  (
    application LowCardinality(String),
    field LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    id String,
    encoder_revision LowCardinality(String),
    vector Array(BFloat16) CODEC(ZSTD(1)),
    ingested_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (application, field, timestamp, id)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.progress_raw  (
    topic LowCardinality(String),
    partition UInt32,
    next_offset SimpleAggregateFunction(max, UInt64),
    max_timestamp SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    updated_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = AggregatingMergeTree
ORDER BY (topic, partition)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.windows_raw  (
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    revision UInt32,
    rows UInt64,
    closed_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(closed_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (window_start, window_end, revision)
TTL toDateTime(closed_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.window_metrics_raw  (
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
) ENGINE = ReplacingMergeTree(published_at)
PARTITION BY toDate(window_start)
ORDER BY (application, metric, segment_dimension, segment_value, window_start, window_end, revision)
TTL toDateTime(published_at) + INTERVAL 400 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.alerts_raw  (
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
) ENGINE = ReplacingMergeTree(decided_at)
PARTITION BY toYYYYMM(at)
ORDER BY (fingerprint, at, id)
TTL toDateTime(decided_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.outbox_raw  (
    id String,
    receiver LowCardinality(String),
    alert_id String,
    payload String CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC'),
    created_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(created_at)
PARTITION BY toYYYYMM(at)
ORDER BY (id, receiver)
TTL toDateTime(created_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.deliveries_raw  (
    id String,
    receiver LowCardinality(String),
    attempt UInt32,
    status LowCardinality(String),
    error String,
    next_attempt_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (id, receiver, attempt, status)
TTL toDateTime(at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.references_raw  (
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
) ENGINE = ReplacingMergeTree(created_at)
ORDER BY (application, field, name, version, position)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.promotions_raw  (
    application LowCardinality(String),
    field LowCardinality(String),
    name LowCardinality(String),
    version UInt32,
    promoted_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(promoted_at)
ORDER BY (application, field, name, version, promoted_at)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.dead_letters_raw  (
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    reason LowCardinality(String),
    detail String,
    key String,
    value String CODEC(ZSTD(1)),
    timestamp DateTime64(3, 'UTC'),
    ingested_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toDate(timestamp)
ORDER BY (topic, partition, offset)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.feedback_raw  (
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
) ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (application, id, timestamp, kind)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.reviews_raw  (
    application LowCardinality(String),
    id String,
    reviewer String,
    label LowCardinality(String),
    comment String,
    at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(at)
ORDER BY (application, id, reviewer)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS inferwatch.audit_log_raw  (
    at DateTime64(3, 'UTC'),
    actor String,
    action LowCardinality(String),
    subject String,
    detail String
) ENGINE = ReplacingMergeTree(at)
ORDER BY (at, actor, action, subject)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW inferwatch.inferences  AS
SELECT *,
     
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM inferwatch.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW inferwatch.embeddings  AS
 
SELECT * REPLACE (CAST(vector AS Array(Float32)) AS vector)
FROM inferwatch.embeddings_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW inferwatch.progress  AS
SELECT topic, partition, max(next_offset) AS next_offset, max(max_timestamp) AS max_timestamp, max(updated_at) AS updated_at
FROM inferwatch.progress_raw GROUP BY topic, partition;

CREATE OR REPLACE VIEW inferwatch.windows  AS
SELECT w.window_start AS window_start, w.window_end AS window_end, argMax(w.rows, w.revision) AS rows,
    argMax(w.closed_at, w.revision) AS closed_at, max(w.revision) AS revision
FROM inferwatch.windows_raw AS w GROUP BY w.window_start, w.window_end;

CREATE OR REPLACE VIEW inferwatch.window_metrics  AS
SELECT * FROM inferwatch.window_metrics_raw FINAL
WHERE (window_start, window_end, revision) IN
    (SELECT window_start, window_end, max(revision) FROM inferwatch.windows_raw GROUP BY window_start, window_end);

CREATE OR REPLACE VIEW inferwatch.alerts  AS SELECT * FROM inferwatch.alerts_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.outbox  AS SELECT * FROM inferwatch.outbox_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.deliveries  AS SELECT * FROM inferwatch.deliveries_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.references  AS SELECT * FROM inferwatch.references_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.promotions  AS SELECT * FROM inferwatch.promotions_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.dead_letters  AS
SELECT * FROM inferwatch.dead_letters_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW inferwatch.feedback  AS SELECT * FROM inferwatch.feedback_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.reviews  AS SELECT * FROM inferwatch.reviews_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.audit_log  AS SELECT * FROM inferwatch.audit_log_raw FINAL;

ALTER TABLE inferwatch.windows_raw 
    ADD COLUMN IF NOT EXISTS feedback UInt64,
    ADD COLUMN IF NOT EXISTS edition UInt64,
    MODIFY ORDER BY (window_start, window_end, revision, edition);

ALTER TABLE inferwatch.window_metrics_raw 
    ADD COLUMN IF NOT EXISTS edition UInt64,
    MODIFY ORDER BY (application, metric, segment_dimension, segment_value, window_start, window_end, revision, edition);

ALTER TABLE inferwatch.progress_raw 
    ADD COLUMN IF NOT EXISTS pane DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS noted_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT now64(3),
    MODIFY ORDER BY (topic, partition, pane);

ALTER TABLE inferwatch.progress_raw 
    MODIFY TTL toDateTime(noted_at) + INTERVAL 8 DAY DELETE WHERE pane > toDateTime64(0, 3, 'UTC');

ALTER TABLE inferwatch.deliveries_raw 
    ADD COLUMN IF NOT EXISTS owner String,
    MODIFY ORDER BY (id, receiver, attempt, status, owner);

CREATE OR REPLACE VIEW inferwatch.progress  AS
SELECT topic, partition, max(next_offset) AS next_offset, max(max_timestamp) AS max_timestamp, max(updated_at) AS updated_at
FROM inferwatch.progress_raw WHERE pane = toDateTime64(0, 3, 'UTC') GROUP BY topic, partition;

CREATE OR REPLACE VIEW inferwatch.windows  AS
SELECT w.window_start AS window_start, w.window_end AS window_end,
    argMax(w.rows, (w.revision, w.rows, w.feedback, w.edition)) AS rows,
    argMax(w.feedback, (w.revision, w.rows, w.feedback, w.edition)) AS feedback,
    argMax(w.closed_at, (w.revision, w.rows, w.feedback, w.edition)) AS closed_at,
    max(w.revision) AS revision,
    argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition)) AS edition
FROM inferwatch.windows_raw AS w GROUP BY w.window_start, w.window_end;

CREATE OR REPLACE VIEW inferwatch.window_metrics  AS
SELECT * FROM inferwatch.window_metrics_raw FINAL
WHERE (window_start, window_end, revision, edition) IN (
    SELECT w.window_start, w.window_end, max(w.revision), argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition))
    FROM inferwatch.windows_raw AS w GROUP BY w.window_start, w.window_end
);

CREATE OR REPLACE VIEW inferwatch.deliveries  AS SELECT * FROM inferwatch.deliveries_raw FINAL;

ALTER TABLE inferwatch.inferences_raw 
    ADD COLUMN IF NOT EXISTS inclusion Map(LowCardinality(String), Float32) AFTER abstained;

CREATE TABLE IF NOT EXISTS inferwatch.sampling_plans_raw  (
    application LowCardinality(String),
    detector LowCardinality(String),
    effective_from DateTime64(3, 'UTC'),
    budget LowCardinality(String),
    counts Array(UInt64),
    probabilities Array(Float32),
    planned_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(planned_at)
PARTITION BY toYYYYMM(effective_from)
ORDER BY (effective_from, application, detector)
TTL toDateTime(planned_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW inferwatch.sampling_plans  AS SELECT * FROM inferwatch.sampling_plans_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.inferences  AS
SELECT *,
     
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM inferwatch.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE inferwatch.inferences_raw 
    ADD COLUMN IF NOT EXISTS chunks UInt16 AFTER truncated;

CREATE OR REPLACE VIEW inferwatch.inferences  AS
SELECT *,
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM inferwatch.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE inferwatch.inferences_raw  DROP INDEX IF EXISTS by_id;

ALTER TABLE inferwatch.inferences_raw 
    ADD INDEX IF NOT EXISTS known_ids id TYPE bloom_filter(0.00001) GRANULARITY 1;

ALTER TABLE inferwatch.inferences_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.embeddings_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.progress_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.windows_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.window_metrics_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.alerts_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.outbox_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.deliveries_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.references_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.promotions_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.dead_letters_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.feedback_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.reviews_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE inferwatch.audit_log_raw  MODIFY SETTING non_replicated_deduplication_window = 0;

CREATE TABLE IF NOT EXISTS inferwatch.drift_windows_raw  (
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
) ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (application, field, reference, reference_version, encoder_revision, features, window_end, window_start, revision, rows)
TTL toDateTime(computed_at) + INTERVAL 30 DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW inferwatch.drift_windows  AS
SELECT d.application AS application, d.field AS field, d.reference AS reference, d.reference_version AS reference_version,
    d.encoder_revision AS encoder_revision, d.features AS features, d.window_start AS window_start,
    d.window_end AS window_end, max(d.revision) AS revision,
    argMax(d.rows, (d.revision, d.rows)) AS rows, argMax(d.sampled, (d.revision, d.rows)) AS sampled,
    argMax(d.total, (d.revision, d.rows)) AS total, max(d.computed_at) AS computed_at
FROM inferwatch.drift_windows_raw AS d
GROUP BY d.application, d.field, d.reference, d.reference_version, d.encoder_revision, d.features, d.window_start, d.window_end;

ALTER TABLE inferwatch.references_raw 
    ADD COLUMN IF NOT EXISTS timestamp DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS slot UInt16,
    ADD COLUMN IF NOT EXISTS season String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String),
    ADD COLUMN IF NOT EXISTS dispersion Float64 DEFAULT 1,
    ADD COLUMN IF NOT EXISTS verdict String CODEC(ZSTD(1));

ALTER TABLE inferwatch.promotions_raw 
    ADD COLUMN IF NOT EXISTS effective_from DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS encoder_revision LowCardinality(String),
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String);

CREATE TABLE IF NOT EXISTS inferwatch.deploys_raw  (
    application LowCardinality(String),
    dimension LowCardinality(String),
    value String,
    previous String,
    at DateTime64(3, 'UTC'),
    first_seen DateTime64(3, 'UTC'),
    noted_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(noted_at)
ORDER BY (application, dimension, value, at)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW inferwatch.deploys  AS SELECT * FROM inferwatch.deploys_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.references  AS SELECT * FROM inferwatch.references_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.promotions  AS SELECT * FROM inferwatch.promotions_raw FINAL;

CREATE OR REPLACE VIEW inferwatch.reference_versions  AS
SELECT r.application AS application, r.field AS field, r.name AS name, r.version AS version,
    any(r.encoder_revision) AS encoder_revision, uniqExact(r.position) AS rows, uniqExact(r.slot) AS slots,
    any(r.origin) AS origin, any(r.season) AS season, any(r.dispersion) AS dispersion, any(r.verdict) AS verdict,
    min(r.period_start) AS period_start, max(r.period_end) AS period_end, max(r.created_at) AS created_at
FROM inferwatch.references_raw AS r GROUP BY r.application, r.field, r.name, r.version;

CREATE TABLE IF NOT EXISTS inferwatch.reference_columns_raw  (
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
) ENGINE = ReplacingMergeTree
ORDER BY (application, field, name, version, segment_dimension, segment_value, column_name, created_at)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW inferwatch.reference_columns  AS
SELECT * FROM inferwatch.reference_columns_raw
ORDER BY created_at
LIMIT 1 BY application, field, name, version, segment_dimension, segment_value, column_name;

ALTER TABLE inferwatch.alerts_raw  ADD COLUMN IF NOT EXISTS sequence UInt32;

CREATE OR REPLACE VIEW inferwatch.alerts  AS SELECT * FROM inferwatch.alerts_raw FINAL;

ALTER TABLE inferwatch.windows_raw  ADD COLUMN IF NOT EXISTS passed DateTime64(3, 'UTC');

CREATE TABLE IF NOT EXISTS inferwatch.severe_rows_raw  (
    rule LowCardinality(String),
    application LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    id String,
    score SimpleAggregateFunction(max, Float64),
    alert_id SimpleAggregateFunction(max, String),
    noted_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (rule, application, timestamp, id)
TTL toDateTime(noted_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW inferwatch.severe_rows  AS
SELECT s.rule AS rule, s.application AS application, s.timestamp AS timestamp, s.id AS id, max(s.score) AS score,
    max(s.alert_id) AS alert_id, max(s.noted_at) AS noted_at
FROM inferwatch.severe_rows_raw AS s GROUP BY s.rule, s.application, s.timestamp, s.id;

CREATE OR REPLACE VIEW inferwatch.windows  AS
SELECT w.window_start AS window_start, w.window_end AS window_end,
    argMax(w.rows, (w.revision, w.rows, w.feedback, w.edition)) AS rows,
    argMax(w.feedback, (w.revision, w.rows, w.feedback, w.edition)) AS feedback,
    argMax(w.closed_at, (w.revision, w.rows, w.feedback, w.edition)) AS closed_at,
    max(w.revision) AS revision,
    argMax(w.edition, (w.revision, w.rows, w.feedback, w.edition)) AS edition,
    argMax(w.passed, (w.revision, w.rows, w.feedback, w.edition)) AS passed
FROM inferwatch.windows_raw AS w GROUP BY w.window_start, w.window_end;

ALTER TABLE inferwatch.outbox_raw 
    ADD COLUMN IF NOT EXISTS group_key String DEFAULT concat('alert/', alert_id),
    ADD COLUMN IF NOT EXISTS previous String,
    ADD COLUMN IF NOT EXISTS reason LowCardinality(String),
    ADD COLUMN IF NOT EXISTS told Map(String, LowCardinality(String)) DEFAULT map(alert_id, JSONExtractString(payload, 'status')),
    ADD COLUMN IF NOT EXISTS dedup_key String DEFAULT concat('inferwatch/', alert_id);

ALTER TABLE inferwatch.outbox_raw  MATERIALIZE COLUMN told;

CREATE OR REPLACE VIEW inferwatch.outbox  AS
SELECT id, receiver, group_key, previous, reason, alert_id, told, dedup_key, payload, at, created_at
FROM inferwatch.outbox_raw FINAL WHERE receiver != '';

CREATE TABLE IF NOT EXISTS inferwatch.silences_raw  (
    id String,
    matchers Array(String),
    starts_at DateTime64(3, 'UTC'),
    ends_at DateTime64(3, 'UTC'),
    author String,
    comment String,
    created_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(updated_at)
ORDER BY id
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW inferwatch.silences  AS SELECT * FROM inferwatch.silences_raw FINAL;

CREATE TABLE IF NOT EXISTS inferwatch.alert_notes_raw  (
    id String,
    alert_id String,
    kind LowCardinality(String),
    author String,
    text String,
    at DateTime64(3, 'UTC')
) ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (alert_id, id)
TTL toDateTime(at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW inferwatch.alert_notes  AS SELECT * FROM inferwatch.alert_notes_raw FINAL;

ALTER TABLE inferwatch.inferences_raw 
    ADD INDEX IF NOT EXISTS by_offset offset TYPE minmax GRANULARITY 1;

CREATE OR REPLACE VIEW inferwatch.dead_letters  AS
SELECT * FROM inferwatch.dead_letters_raw FINAL
WHERE reason != 'duplicate_id' OR (topic, partition, offset) NOT IN (
    SELECT topic, partition, offset FROM inferwatch.inferences_raw
    WHERE (topic, partition, offset) IN (
        SELECT topic, partition, offset FROM inferwatch.dead_letters_raw WHERE reason = 'duplicate_id'
    )
)
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE inferwatch.inferences_raw  MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE inferwatch.embeddings_raw  MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE inferwatch.progress_raw  MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE inferwatch.dead_letters_raw  MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE inferwatch.severe_rows_raw  MODIFY SETTING concurrent_part_removal_threshold = 1000000;

ALTER TABLE inferwatch.feedback_raw  MODIFY SETTING concurrent_part_removal_threshold = 1000000;

