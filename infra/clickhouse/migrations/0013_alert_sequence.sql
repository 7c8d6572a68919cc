-- Transitions are numbered within their instance: an episode that ends where another begins, and a revised window, make
-- several at one moment. Rows from before have 0, and at most one transition a moment.
ALTER TABLE ${database}.alerts_raw ${on_cluster} ADD COLUMN IF NOT EXISTS sequence UInt32;

CREATE OR REPLACE VIEW ${database}.alerts ${on_cluster} AS SELECT * FROM ${database}.alerts_raw FINAL;
