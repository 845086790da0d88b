-- Take one request from all its rules, or from none. One call, one round trip.
--
-- ARGV: operation ("admit", "extend", "peek" or "levels"), rules, tokens, cost, present Unix time, ticket,
--       hold id, process, seeds {number of rule -> spent, as the ledger says}
-- Answer: {0, told, used, used, ...} for every rule: the request was taken (or would be)
--         {0, told, used, held, used, held, ...} for "levels", where nothing is asked for; used is
--         -1 for a budget that is not known here
--         {1, told, number of rule, used, held, {slot, amount, ...}, ...}: refused by these rules
--         {2, number of rule, ...}: these budgets are not known here; ask again with their seeds
local operation, rules = ARGV[1], cmsgpack.unpack(ARGV[2])
local tokens, cost, now_s = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ticket, hold_id, process = ARGV[6], ARGV[7], ARGV[8]
local extends, slot = operation == 'extend', math.floor(now_s / 2)
local holds = tag .. 'holds:' .. process
local told, entry = {}, nil

if extends then
  entry = redis.call('HGET', holds, ticket)
  if not entry then
    return {0, told}  -- ended by a sweep: what the request used is booked when it settles
  end
  entry = cmsgpack.unpack(entry)
end

if ARGV[9] ~= '' then
  for number, spent in pairs(cmsgpack.unpack(ARGV[9])) do
    local rule = rules[number]
    local key = key_of(rule)
    if redis.call('HSETNX', key, 's', whole(spent)) == 1 then
      expire(key, rule, now_s)
      tell(told, number, key, rule, spent)
    end
  end
end

local missing, refused, answer = {2}, {1, told}, {0, told}
local amounts = {[CONCURRENCY] = 1, [REQUESTS] = 1, [REQUESTS_DAY] = 1, [TOKENS] = tokens, [BUDGET] = cost}
if extends then
  amounts[CONCURRENCY], amounts[REQUESTS], amounts[REQUESTS_DAY] = 0, 0, 0
elseif operation == 'levels' then
  amounts = {[CONCURRENCY] = 0, [REQUESTS] = 0, [REQUESTS_DAY] = 0, [TOKENS] = 0, [BUDGET] = 0}
end
for number, rule in ipairs(rules) do
  local kind, key = rule[1], key_of(rule)
  local used, held, fields = 0, 0, {}
  if kind == BUDGET then
    local purse = redis.call('HMGET', key, 's', 'h')
    if purse[1] then
      held = tonumber(purse[2] or '0')
      used = tonumber(purse[1]) + held
    elseif operation == 'levels' then
      used = -1
    else
      missing[#missing + 1] = number
    end
  elseif kind == CONCURRENCY or kind == REQUESTS_DAY then
    used = tonumber(redis.call('GET', key) or '0')
    if kind == CONCURRENCY then
      held = used
    end
  else
    used, fields = window(key, slot)
  end
  local amount = amounts[kind]
  if rule[4] and amount > 0 and used + amount > rule[3] then
    for _, each in ipairs({number, used, held, fields}) do
      refused[#refused + 1] = each
    end
  end
  answer[#answer + 1] = used + amount
  if operation == 'levels' then
    answer[#answer + 1] = held
  end
end
if #missing > 1 then
  return missing
end
if #refused > 2 then
  return refused
end
if operation == 'peek' or operation == 'levels' then
  return answer
end

local moved = 0
for number, rule in ipairs(rules) do
  local kind, key = rule[1], key_of(rule)
  if kind == BUDGET then
    redis.call('HINCRBY', key, 'h', whole(cost))
  elseif kind == TOKENS and extends then
    -- What the request holds counts from now on, so that one slot is settled; what is too old to
    -- count does not come back.
    if tokens > 0 and redis.call('HEXISTS', key, whole(entry[4])) == 1 then
      correct_window(key, entry[4], -entry[2])
      moved = entry[2]
    end
    if tokens > 0 then
      add_to_window(key, slot, moved + tokens)
    end
  elseif kind == TOKENS then
    add_to_window(key, slot, tokens)
  elseif not extends then
    if kind == CONCURRENCY then
      redis.call('INCR', key)
    elseif kind == REQUESTS then
      add_to_window(key, slot, 1)
    elseif redis.call('INCR', key) == 1 then
      expire(key, rule, now_s)
    end
  end
end

if extends and tokens > 0 then
  entry = {entry[1], moved + tokens, entry[3] + cost, slot, entry[5]}
elseif extends then
  entry[3] = entry[3] + cost
else
  entry = {ARGV[2], tokens, cost, slot, hold_id}
  redis.call('ZADD', tag .. 'members', 'NX', ARGV[5], process)
end
redis.call('HSET', holds, ticket, cmsgpack.pack(entry))
return answer
