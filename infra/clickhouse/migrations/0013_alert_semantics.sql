-- Transitions are numbered within their instance: an episode that ends where another begins, and a revised window, make
-- several at one moment. Rows from before have 0, and at most one transition a moment.
ALTER TABLE ${database}.alerts_raw ${on_cluster} ADD COLUMN IF NOT EXISTS sequence UInt32;

CREATE OR REPLACE VIEW ${database}.alerts ${on_cluster} AS SELECT * FROM ${database}.alerts_raw FINAL;

-- Up to which event time windows without rows had been judged when a window was published: what a back-test needs to see
-- silences as they were seen.
ALTER TABLE ${database}.windows_raw ${on_cluster} ADD COLUMN IF NOT EXISTS passed DateTime64(3, 'UTC');
