-- see_incident --
-- An incident is open, and seen now; gives the id of the one that is, which is another's if it was open.
INSERT INTO incidents (
    id, name, subject, severity, value, threshold, since_s, opened_s, seen_s, closed_s
) VALUES (
    :id, :name, :subject, :severity, :value, :threshold, :since_s, :now_s, :now_s, NULL
) ON CONFLICT (name, subject) WHERE closed_s IS NULL DO UPDATE SET
    value = excluded.value,
    threshold = excluded.threshold,
    seen_s = CASE WHEN excluded.seen_s > incidents.seen_s THEN excluded.seen_s
        ELSE incidents.seen_s END
RETURNING id;

-- close_incidents --
-- Ends a bounded number of incidents that nobody has seen since a moment; gives those that this ended.
UPDATE incidents SET closed_s = :now_s
WHERE closed_s IS NULL AND seen_s < :before_s AND id IN (
    SELECT id FROM incidents WHERE closed_s IS NULL AND seen_s < :before_s
    ORDER BY seen_s LIMIT :limit
)
RETURNING id;

-- open_incidents --
-- How many incidents are open, by name.
SELECT name, count(*) AS incidents FROM incidents WHERE closed_s IS NULL GROUP BY name;

-- list_incidents --
-- Incidents, the newest first, after the last one of a page; all, or those that are open or closed.
SELECT id, name, subject, severity, value, threshold, since_s, opened_s, seen_s, closed_s
FROM incidents
WHERE (opened_s, id) < (:before_s, :before_id) AND (:name = '' OR name = :name)
    AND (:state = '' OR (:state = 'open' AND closed_s IS NULL)
        OR (:state = 'closed' AND closed_s IS NOT NULL))
ORDER BY opened_s DESC, id DESC LIMIT :limit;

-- read_incident --
-- One incident.
SELECT id, name, subject, severity, value, threshold, since_s, opened_s, seen_s, closed_s
FROM incidents WHERE id = :id;

-- delete_incidents --
-- Deletes a bounded number of incidents that ended before a moment.
DELETE FROM incidents WHERE id IN (
    SELECT id FROM incidents WHERE closed_s < :before_s LIMIT :limit
);

-- delete_notices --
-- Deletes a bounded number of messages from before a moment, delivered or not.
DELETE FROM incident_notices WHERE (incident_id, event) IN (
    SELECT incident_id, event FROM incident_notices WHERE created_s < :before_s LIMIT :limit
);

-- count_notices --
-- How many messages wait, those given up left out; no more than `limit` are counted.
SELECT count(*) AS notices FROM (
    SELECT 1 FROM incident_notices WHERE delivered_s IS NULL AND next_s < :never_s LIMIT :limit
) AS waiting;

-- add_notice --
-- A message waits to be delivered; once for each incident and event.
INSERT INTO incident_notices (incident_id, event, created_s, delivered_s, tries, next_s)
VALUES (:incident_id, :event, :created_s, NULL, 0, :created_s)
ON CONFLICT (incident_id, event) DO NOTHING;

-- has_notice --
-- Whether somebody was or is to be told of an event of an incident.
SELECT event FROM incident_notices WHERE incident_id = :incident_id AND event = :event;

-- take_due_notices --
-- Takes a bounded number of messages: until `lease_until_s` nobody else is given them. That of an end
-- waits for that of the beginning, until it has arrived or was given up.
UPDATE incident_notices SET next_s = :lease_until_s, tries = tries + 1
WHERE delivered_s IS NULL AND next_s <= :now_s
    AND (incident_id, event) IN (
        SELECT due.incident_id, due.event FROM incident_notices AS due
        WHERE due.delivered_s IS NULL AND due.next_s <= :now_s AND (
            due.event = 'alert.opened' OR NOT EXISTS (
                SELECT 1 FROM incident_notices AS first
                WHERE first.incident_id = due.incident_id AND first.event = 'alert.opened'
                    AND first.delivered_s IS NULL AND first.next_s < :never_s
            )
        )
        ORDER BY due.next_s LIMIT :limit
    )
RETURNING incident_id, event, created_s, tries;

-- deliver_notice --
-- A message has reached its reader.
UPDATE incident_notices SET delivered_s = :delivered_s
WHERE incident_id = :incident_id AND event = :event AND delivered_s IS NULL;

-- delay_notice --
-- A message could not be delivered and is due again later.
UPDATE incident_notices SET next_s = :next_s
WHERE incident_id = :incident_id AND event = :event AND delivered_s IS NULL;

-- count_dead_letters --
-- How many dead letters there are; no more than `limit` are counted.
SELECT count(*) AS jobs FROM (SELECT 1 FROM jobs WHERE state = 'dead' LIMIT :limit) AS dead;

-- count_workers --
-- How many workers have given a sign of life within their lease.
SELECT count(*) AS workers FROM workers WHERE beat_at + lease_s > :now_s;

-- budgets_reached --
-- Budgets that have reached a share of their limit in the present window: how many, by scope and whether
-- it was all of it.
SELECT scope, spent, count(*) AS budgets FROM (
    SELECT scope, scope_id, period,
        max(CASE WHEN share >= 1.0 THEN 1 ELSE 0 END) AS spent
    FROM alerts
    WHERE (period = 'total') OR (period = 'day' AND window_start_s >= :day_s)
        OR (period = 'week' AND window_start_s >= :week_s)
        OR (period = 'month' AND window_start_s >= :month_s)
    GROUP BY scope, scope_id, period
) AS reached GROUP BY scope, spent;
