-- References say where they come from, how homogeneous they are and which hours they speak for; promotions hold from an
-- event time on; new models and prompt versions are written down.

ALTER TABLE ${database}.references_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS timestamp DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS slot UInt16,
    ADD COLUMN IF NOT EXISTS season String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String),
    ADD COLUMN IF NOT EXISTS dispersion Float64 DEFAULT 1,
    ADD COLUMN IF NOT EXISTS verdict String CODEC(ZSTD(1));

-- effective_from is 1970 in the rows made before there was one: the latest of them wins, as it did then.
ALTER TABLE ${database}.promotions_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS effective_from DateTime64(3, 'UTC'),
    ADD COLUMN IF NOT EXISTS encoder_revision LowCardinality(String),
    ADD COLUMN IF NOT EXISTS origin LowCardinality(String);

-- The window in which a value that had not been there took over an application's traffic.
CREATE TABLE IF NOT EXISTS ${database}.deploys_raw ${on_cluster} (
    application LowCardinality(String),
    dimension LowCardinality(String),
    value String,
    previous String,
    at DateTime64(3, 'UTC'),
    first_seen DateTime64(3, 'UTC'),
    noted_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(noted_at)
ORDER BY (application, dimension, value, at)
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW ${database}.deploys ${on_cluster} AS SELECT * FROM ${database}.deploys_raw FINAL;

-- Again, for the new columns.
CREATE OR REPLACE VIEW ${database}.references ${on_cluster} AS SELECT * FROM ${database}.references_raw FINAL;

CREATE OR REPLACE VIEW ${database}.promotions ${on_cluster} AS SELECT * FROM ${database}.promotions_raw FINAL;

CREATE OR REPLACE VIEW ${database}.reference_versions ${on_cluster} AS
SELECT r.application AS application, r.field AS field, r.name AS name, r.version AS version,
    any(r.encoder_revision) AS encoder_revision, uniqExact(r.position) AS rows, uniqExact(r.slot) AS slots,
    any(r.origin) AS origin, any(r.season) AS season, any(r.dispersion) AS dispersion, any(r.verdict) AS verdict,
    min(r.period_start) AS period_start, max(r.period_end) AS period_end, max(r.created_at) AS created_at
FROM ${database}.references_raw AS r GROUP BY r.application, r.field, r.name, r.version;
