-- A worker that is killed may leave an insert on its way. When it arrives after its successor found another copy of the
-- same id and called this one a duplicate, the row is stored and its dead letter says that it is not. The row is right.
ALTER TABLE ${database}.inferences_raw ${on_cluster}
    ADD INDEX IF NOT EXISTS by_offset offset TYPE minmax GRANULARITY 1;

CREATE OR REPLACE VIEW ${database}.dead_letters ${on_cluster} AS
SELECT * FROM ${database}.dead_letters_raw FINAL
WHERE reason != 'duplicate_id' OR (topic, partition, offset) NOT IN (
    SELECT topic, partition, offset FROM ${database}.inferences_raw
    WHERE (topic, partition, offset) IN (
        SELECT topic, partition, offset FROM ${database}.dead_letters_raw WHERE reason = 'duplicate_id'
    )
)
SETTINGS do_not_merge_across_partitions_select_final = 1;
