-- Parts that were merged away are deleted by one thread. From a hundred of a table on the engine takes up to 128 at
-- once, and embedded it keeps them: idle, with stacks and caches of their own, in the worker's process. These tables
-- get a part with every batch. A server keeps its default.
ALTER TABLE ${database}.inferences_raw ${on_cluster} MODIFY SETTING concurrent_part_removal_threshold = ${part_removal_threshold};

ALTER TABLE ${database}.embeddings_raw ${on_cluster} MODIFY SETTING concurrent_part_removal_threshold = ${part_removal_threshold};

ALTER TABLE ${database}.progress_raw ${on_cluster} MODIFY SETTING concurrent_part_removal_threshold = ${part_removal_threshold};

ALTER TABLE ${database}.dead_letters_raw ${on_cluster} MODIFY SETTING concurrent_part_removal_threshold = ${part_removal_threshold};

ALTER TABLE ${database}.severe_rows_raw ${on_cluster} MODIFY SETTING concurrent_part_removal_threshold = ${part_removal_threshold};

ALTER TABLE ${database}.feedback_raw ${on_cluster} MODIFY SETTING concurrent_part_removal_threshold = ${part_removal_threshold};
