-- Every batch looks its ids up. At one false answer in a thousand for each id and granule, a batch of 500 ids reads half
-- of the granules it should skip; at one in a hundred thousand it reads one in two hundred.
ALTER TABLE ${database}.inferences_raw ${on_cluster} DROP INDEX IF EXISTS by_id;

ALTER TABLE ${database}.inferences_raw ${on_cluster}
    ADD INDEX IF NOT EXISTS known_ids id TYPE bloom_filter(0.00001) GRANULARITY 1;
