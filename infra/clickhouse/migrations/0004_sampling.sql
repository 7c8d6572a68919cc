-- Detectors with a budget: with which probability a row was scored, and the plans that say so.

-- Score -> inclusion probability, of the detectors that had a budget; a score that is not named here was due anyway.
ALTER TABLE ${database}.inferences_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS inclusion Map(LowCardinality(String), Float32) AFTER abstained;

-- One row a closed window: the rows it held in each band of the guide, and the probabilities they lead to.
CREATE TABLE IF NOT EXISTS ${database}.sampling_plans_raw ${on_cluster} (
    application LowCardinality(String),
    detector LowCardinality(String),
    effective_from DateTime64(3, 'UTC'),
    budget LowCardinality(String),
    counts Array(UInt64),
    probabilities Array(Float32),
    planned_at DateTime64(3, 'UTC')
) ENGINE = ${replicated}ReplacingMergeTree(planned_at)
PARTITION BY toYYYYMM(effective_from)
ORDER BY (effective_from, application, detector)
TTL toDateTime(planned_at) + INTERVAL ${window_metrics_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 0;

CREATE OR REPLACE VIEW ${database}.sampling_plans ${on_cluster} AS SELECT * FROM ${database}.sampling_plans_raw FINAL;

-- Again, for the new column.
CREATE OR REPLACE VIEW ${database}.inferences ${on_cluster} AS
SELECT *,
    -- NULL where the detector abstained: scores['…'] of a missing name would be 0.
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM ${database}.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
