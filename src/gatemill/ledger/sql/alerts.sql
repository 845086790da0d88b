-- add_alert --
-- Notes that a budget has reached a share of its limit; true once for each window and share.
INSERT INTO alerts (
    scope, scope_id, period, window_start_s, share, limit_microusd, spent_microusd, created_s,
    delivered_s, tries, next_s
) VALUES (
    :scope, :scope_id, :period, :window_start_s, :share, :limit_microusd, :spent_microusd,
    :created_s, NULL, 0, :created_s
) ON CONFLICT (scope, scope_id, period, window_start_s, share) DO NOTHING;

-- take_due_alerts --
-- Takes a bounded number of undelivered alerts: until `lease_until_s` nobody else is given them.
-- The second look at `next_s` is for a process that waited for the first one's rows.
UPDATE alerts SET next_s = :lease_until_s, tries = tries + 1
WHERE delivered_s IS NULL AND next_s <= :now_s
    AND (scope, scope_id, period, window_start_s, share) IN (
        SELECT scope, scope_id, period, window_start_s, share FROM alerts
        WHERE delivered_s IS NULL AND next_s <= :now_s ORDER BY next_s LIMIT :limit
    )
RETURNING scope, scope_id, period, window_start_s, share, limit_microusd, spent_microusd,
    created_s, delivered_s, tries, next_s;

-- deliver_alert --
-- An alert has reached its reader.
UPDATE alerts SET delivered_s = :delivered_s
WHERE scope = :scope AND scope_id = :scope_id AND period = :period
    AND window_start_s = :window_start_s AND share = :share AND delivered_s IS NULL;

-- delay_alert --
-- An alert could not be delivered and is due again later.
UPDATE alerts SET next_s = :next_s
WHERE scope = :scope AND scope_id = :scope_id AND period = :period
    AND window_start_s = :window_start_s AND share = :share AND delivered_s IS NULL;

-- delete_alerts --
-- Deletes a bounded number of delivered alerts of old windows. A budget in total has one window only,
-- and its alerts stay.
DELETE FROM alerts WHERE (scope, scope_id, period, window_start_s, share) IN (
    SELECT scope, scope_id, period, window_start_s, share FROM alerts
    WHERE created_s < :before_s AND delivered_s IS NOT NULL AND period <> 'total' LIMIT :limit
);
