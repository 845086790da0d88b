-- insert_session --
-- Somebody has signed in.
INSERT INTO sessions (digest, key_id, subject, scopes, created_at, seen_at, expires_at)
VALUES (:digest, :key_id, :subject, :scopes, :created_at, :seen_at, :expires_at);

-- read_session --
-- Who is signed in with this digest.
SELECT digest, key_id, subject, scopes, created_at, seen_at, expires_at FROM sessions
WHERE digest = :digest;

-- touch_session --
-- They were here at this moment.
UPDATE sessions SET seen_at = :seen_at WHERE digest = :digest;

-- delete_session --
-- They have signed out.
DELETE FROM sessions WHERE digest = :digest;

-- delete_expired_sessions --
-- Those whose time is over, and those of whom nothing was seen since.
DELETE FROM sessions WHERE expires_at <= :now_s OR seen_at <= :idle_since_s;

-- delete_older_sessions --
-- All of one person but the newest few.
DELETE FROM sessions WHERE key_id = :key_id AND subject = :subject AND digest NOT IN (
    SELECT digest FROM sessions WHERE key_id = :key_id AND subject = :subject
    ORDER BY created_at DESC, digest LIMIT :most
);

-- count_sessions --
-- All of them.
SELECT count(*) AS sessions FROM sessions;

-- insert_link --
-- A link that signs somebody in once.
INSERT INTO signin_links (digest, key_id, created_s, until_s)
VALUES (:digest, :key_id, :created_s, :until_s);

-- take_link --
-- Takes out a link that has not ended yet, and says whose it was: of all who try, one gets it.
DELETE FROM signin_links WHERE digest = :digest AND until_s > :now_s RETURNING key_id;

-- delete_ended_links --
-- Those whose time is over.
DELETE FROM signin_links WHERE until_s <= :now_s;

-- delete_older_links --
-- All but the newest few.
DELETE FROM signin_links WHERE digest NOT IN (
    SELECT digest FROM signin_links ORDER BY created_s DESC, digest LIMIT :most
);
