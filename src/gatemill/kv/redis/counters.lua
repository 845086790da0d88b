-- What all scripts of the limiter know: where a rule is counted, and how much it counts now.
--
-- KEYS[1] is a hash tag: every name below begins with it, so all of them live in one cluster slot.
-- A rule travels as {kind, name, most, hard, expires, marks}: `expires` is Unix time, 0 for never,
-- `marks` are {share, micro-dollars} at which somebody is told, and `name` is already the counter's:
--   c:<rule>          string   requests under way
--   w:<rule>          hash     slot of two seconds -> requests or tokens
--   d:<rule>:<start>  string   requests of a calendar day
--   b:<rule>:<start>  hash     s = spent, h = held, a<share> = somebody was told
--   holds:<process>   hash     ticket -> {rules, tokens, cost, slot, hold id}
--   swept:<process>   hash     the same, of holds that were ended because the process was silent
--   done:<process>    hash     n = number of the last batch of settlements that was applied,
--                              <number> = the alerts it led to, if any
--   members           zset     process -> Unix time of its last beat

local CONCURRENCY, REQUESTS, REQUESTS_DAY, TOKENS, BUDGET = 0, 1, 2, 3, 4
local RING = 31            -- slots that can count at once, as in policy/window.py
local WINDOW_TTL_S = 130   -- nothing in a window is older than 62 seconds
local SWEPT_TTL_S = 86400
local tag = KEYS[1]

local function whole(number)
  return string.format('%.0f', number)
end

local function key_of(rule)
  return tag .. rule[2]
end

-- Everything that still counts at `slot`: the sum, and the fields themselves. Slots from beyond a
-- minute ahead are of a clock that was wrong.
local function window(key, slot)
  local fields = redis.call('HGETALL', key)
  local sum, old = 0, {}
  for i = 1, #fields, 2 do
    local at, amount = tonumber(fields[i]), tonumber(fields[i + 1])
    if at <= slot - RING or at >= slot + RING then
      old[#old + 1] = fields[i]
    else
      sum = sum + amount
    end
  end
  if #old > 0 then
    redis.call('HDEL', key, unpack(old))
  end
  return sum, fields
end

local function add_to_window(key, slot, amount)
  if redis.call('HINCRBY', key, whole(slot), whole(amount)) == amount then
    redis.call('EXPIRE', key, WINDOW_TTL_S)
  end
end

-- A slot that is gone counts no longer, so there is nothing to correct.
local function correct_window(key, slot, amount)
  if amount ~= 0 and redis.call('HEXISTS', key, whole(slot)) == 1 then
    redis.call('HINCRBY', key, whole(slot), whole(amount))
  end
end

local function expire(key, rule, now_s)
  if rule[5] > 0 then
    redis.call('EXPIRE', key, whole(math.max(1, math.ceil(rule[5] - now_s))))
  end
end

local function leave(key)
  if redis.call('EXISTS', key) == 1 and redis.call('DECR', key) <= 0 then
    redis.call('DEL', key)
  end
end

-- Spent and held change in a budget that is known; an unknown one is read from the ledger later.
local function book(key, spent, held)
  if redis.call('HEXISTS', key, 's') == 0 then
    return nil
  end
  if held ~= 0 then
    redis.call('HINCRBY', key, 'h', whole(held))
  end
  return redis.call('HINCRBY', key, 's', whole(spent))
end

-- Marks that `spent` has reached and nobody was told of: `told` grows by {place, share, spent}.
local function tell(told, place, key, rule, spent)
  for _, mark in ipairs(rule[6]) do
    if spent >= mark[2] and redis.call('HSETNX', key, 'a' .. mark[1], '1') == 1 then
      told[#told + 1] = {place, mark[1], spent}
    end
  end
end
