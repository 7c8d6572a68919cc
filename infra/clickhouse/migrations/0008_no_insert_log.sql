-- A plain table writes an insert's token into its deduplication log before the rows become visible. A server that is
-- killed between the two takes the same insert, made again, for one it has already: it answers well and drops the rows.
-- Without the log an insert made again is there twice until the next merge, and once in every view. Replicated tables
-- keep token and rows in one step, and go by their own window.

ALTER TABLE ${database}.inferences_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.embeddings_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.progress_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.windows_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.window_metrics_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.alerts_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.outbox_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.deliveries_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.references_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.promotions_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.dead_letters_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.feedback_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.reviews_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;

ALTER TABLE ${database}.audit_log_raw ${on_cluster} MODIFY SETTING non_replicated_deduplication_window = 0;
