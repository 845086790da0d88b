-- Whose prompts are whose.

-- The team whose keys may use a prompt; '' is everybody, as it was for all prompts before. Of a model
-- always '': its callers are those whose key names it.
ALTER TABLE models ADD COLUMN team_id TEXT NOT NULL DEFAULT '';
