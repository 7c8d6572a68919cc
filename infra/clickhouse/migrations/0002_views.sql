-- The SQL contract: what people and programs read. Always deduplicated, whatever has or has not been merged.

CREATE OR REPLACE VIEW ${database}.inferences ${on_cluster} AS
SELECT *,
    -- NULL where the detector abstained: scores['…'] of a missing name would be 0.
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM ${database}.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW ${database}.embeddings ${on_cluster} AS
-- Float32, because few formats and clients know BFloat16; Arrow would carry it as bytes.
SELECT * REPLACE (CAST(vector AS Array(Float32)) AS vector)
FROM ${database}.embeddings_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW ${database}.progress ${on_cluster} AS
SELECT topic, partition, max(next_offset) AS next_offset, max(max_timestamp) AS max_timestamp, max(updated_at) AS updated_at
FROM ${database}.progress_raw GROUP BY topic, partition;

CREATE OR REPLACE VIEW ${database}.windows ${on_cluster} AS
SELECT w.window_start AS window_start, w.window_end AS window_end, argMax(w.rows, w.revision) AS rows,
    argMax(w.closed_at, w.revision) AS closed_at, max(w.revision) AS revision
FROM ${database}.windows_raw AS w GROUP BY w.window_start, w.window_end;

-- The latest published revision of every window; every revision ever published is in window_metrics_raw.
CREATE OR REPLACE VIEW ${database}.window_metrics ${on_cluster} AS
SELECT * FROM ${database}.window_metrics_raw FINAL
WHERE (window_start, window_end, revision) IN
    (SELECT window_start, window_end, max(revision) FROM ${database}.windows_raw GROUP BY window_start, window_end);

CREATE OR REPLACE VIEW ${database}.alerts ${on_cluster} AS SELECT * FROM ${database}.alerts_raw FINAL;

CREATE OR REPLACE VIEW ${database}.outbox ${on_cluster} AS SELECT * FROM ${database}.outbox_raw FINAL;

CREATE OR REPLACE VIEW ${database}.deliveries ${on_cluster} AS SELECT * FROM ${database}.deliveries_raw FINAL;

CREATE OR REPLACE VIEW ${database}.references ${on_cluster} AS SELECT * FROM ${database}.references_raw FINAL;

CREATE OR REPLACE VIEW ${database}.promotions ${on_cluster} AS SELECT * FROM ${database}.promotions_raw FINAL;

CREATE OR REPLACE VIEW ${database}.dead_letters ${on_cluster} AS
SELECT * FROM ${database}.dead_letters_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW ${database}.feedback ${on_cluster} AS SELECT * FROM ${database}.feedback_raw FINAL;

CREATE OR REPLACE VIEW ${database}.reviews ${on_cluster} AS SELECT * FROM ${database}.reviews_raw FINAL;

CREATE OR REPLACE VIEW ${database}.audit_log ${on_cluster} AS SELECT * FROM ${database}.audit_log_raw FINAL;
