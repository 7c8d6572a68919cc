-- Into how many chunks the longest text of a row was cut for the encoder: 1 is read at once, 0 has no text.
ALTER TABLE ${database}.inferences_raw ${on_cluster}
    ADD COLUMN IF NOT EXISTS chunks UInt16 AFTER truncated;

-- The view's star was expanded when it was made.
CREATE OR REPLACE VIEW ${database}.inferences ${on_cluster} AS
SELECT *,
    if(mapContains(scores, 'toxicity.input'), scores['toxicity.input'], NULL) AS toxicity_input,
    if(mapContains(scores, 'toxicity.output'), scores['toxicity.output'], NULL) AS toxicity_output,
    if(mapContains(scores, 'hallucination'), scores['hallucination'], NULL) AS hallucination
FROM ${database}.inferences_raw FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
