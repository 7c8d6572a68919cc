-- The outbox is also the log of what each receiver has been told of each group of alerts. A message names the one
-- before it, so that of two written after the same one only one is sent. A message from before groups is of a group of
-- its own; the receiver '' is nobody.
ALTER TABLE ${database}.outbox_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS group_key String DEFAULT concat('alert/', alert_id),
    ADD COLUMN IF NOT EXISTS previous String,
    ADD COLUMN IF NOT EXISTS reason LowCardinality(String),
    ADD COLUMN IF NOT EXISTS told Map(String, LowCardinality(String)) DEFAULT map(alert_id, JSONExtractString(payload, 'status')),
    ADD COLUMN IF NOT EXISTS dedup_key String DEFAULT concat('inferwatch/', alert_id);

-- Or every look at the log would parse the payloads of all the messages from before.
ALTER TABLE ${database}.outbox_raw ${on_cluster} MATERIALIZE COLUMN told;

CREATE OR REPLACE VIEW ${database}.outbox ${on_cluster} AS
SELECT id, receiver, group_key, previous, reason, alert_id, told, dedup_key, payload, at, created_at
FROM ${database}.outbox_raw FINAL WHERE receiver != '';

-- A silence is written again when it is expired; the later row counts. None is ever dropped.
CREATE TABLE IF NOT EXISTS ${database}.silences_raw ${on_cluster} (
    id String,
    matchers Array(String),
    starts_at DateTime64(3, 'UTC'),
    ends_at DateTime64(3, 'UTC'),
    author String,
    comment String,
    created_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(updated_at)
ORDER BY id
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW ${database}.silences ${on_cluster} AS SELECT * FROM ${database}.silences_raw FINAL;
