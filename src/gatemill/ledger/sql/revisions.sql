-- bump_revision --
-- Tells other processes that what a room keeps has changed.
INSERT INTO revisions (room, value) VALUES (:room, 1)
ON CONFLICT (room) DO UPDATE SET value = revisions.value + 1;

-- list_revisions --
-- All rooms that ever changed; there are few.
SELECT room, value FROM revisions ORDER BY room LIMIT 100;
