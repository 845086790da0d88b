-- has_words --
-- Whether the index of words is there.
SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'derived_words';

-- make_words --
-- The index of words. It keeps no text: that stands in chunks. `scope` is the store, as one word, so
-- that a search never walks through the passages of others. Letters of all scripts, without case and accents.
CREATE VIRTUAL TABLE IF NOT EXISTS derived_words USING fts5(
    text, scope, content='', tokenize="unicode61 remove_diacritics 2"
);

-- rank_words --
-- Only the text counts for the order, never the scope.
INSERT INTO derived_words (derived_words, rank) VALUES ('rank', 'bm25(1.0, 0.0)');

-- fill_words --
-- All passages there are, for an index that was just made.
INSERT INTO derived_words (rowid, text, scope)
SELECT number, text, replace(store_id, '_', '') FROM chunks;

-- add_words --
-- The words of a passage.
INSERT INTO derived_words (rowid, text, scope) VALUES (:number, :text, :scope);

-- drop_words --
-- Forgets the words of a bounded number of passages of a document, which are still there.
INSERT INTO derived_words (derived_words, rowid, text, scope)
SELECT 'delete', number, text, replace(store_id, '_', '') FROM chunks WHERE number IN (
    SELECT number FROM chunks WHERE document = :document ORDER BY ordinal LIMIT :limit
);

-- merge_words --
-- Merges the trees of the index for a number of pages, which leaves words of what is gone behind; a
-- negative number begins to make one tree of all.
INSERT INTO derived_words (derived_words, rank) VALUES ('merge', :pages);

-- count_trees --
-- How many trees there are.
SELECT count(DISTINCT segid) AS trees FROM derived_words_idx;

-- keyword --
-- Passages of a store of one owner by BM25, the best first. The index hands them over in that order, so
-- only as many others are looked up as are wanted.
SELECT chunks.number AS number, -derived_words.rank AS score
FROM derived_words CROSS JOIN chunks CROSS JOIN documents CROSS JOIN vector_stores
WHERE derived_words MATCH :match AND chunks.number = derived_words.rowid
    AND chunks.store_id = :store_id AND documents.number = chunks.document
    AND documents.status = 'completed' AND NOT documents.gone
    AND vector_stores.id = chunks.store_id AND vector_stores.owner = :owner AND NOT vector_stores.gone
    AND (:allowed IS NULL OR documents.number IN (SELECT value FROM json_each(:allowed)))
ORDER BY derived_words.rank LIMIT :k;

-- read_chunks --
-- Passages of a store of one owner by their numbers, with their documents.
SELECT chunks.number, chunks.ordinal, chunks.start_at, chunks.end_at, chunks.text, documents.id,
    documents.title, documents.attributes
FROM json_each(:numbers) AS wanted CROSS JOIN chunks CROSS JOIN documents CROSS JOIN vector_stores
WHERE chunks.number = wanted.value AND chunks.store_id = :store_id
    AND documents.number = chunks.document AND documents.status = 'completed' AND NOT documents.gone
    AND vector_stores.id = chunks.store_id AND vector_stores.owner = :owner
    AND NOT vector_stores.gone;

-- read_vectors_of --
-- Vectors of passages of a store of one owner by their numbers.
SELECT chunk_vectors.number, chunk_vectors.vector
FROM json_each(:numbers) AS wanted CROSS JOIN chunk_vectors CROSS JOIN vector_stores
WHERE chunk_vectors.number = wanted.value AND chunk_vectors.generation = :generation
    AND chunk_vectors.store_id = :store_id AND vector_stores.id = chunk_vectors.store_id
    AND vector_stores.owner = :owner AND NOT vector_stores.gone;
