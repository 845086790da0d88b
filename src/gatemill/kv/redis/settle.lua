-- End a batch of holds. Batches are numbered; each is applied once and in order: one whose reply was
-- lost is sent again as it was, and one that comes before its predecessor is refused.
--
-- ARGV: process, number of the batch, number of the oldest one without an answer (this one, when the
--       one before is known to be applied), then for each hold: how, ticket, rules, tokens, cost
--   "settle"  it used so many tokens and so much money
--   "undo"    nobody ever got it, because its reply was late: as if it had never been asked for;
--             its rules are those that it was taken with
--   "book"    it was taken elsewhere while Redis was away; its money is booked
-- Answer: {1, {number of hold, number of rule, share, spent}, ...}: applied, and alerts to send
--         {0}: the batch before is missing
local process, number = ARGV[1], tonumber(ARGV[2])
local done = tag .. 'done:' .. process
local last = tonumber(redis.call('HGET', done, 'n') or '0')
if last >= number then
  local told = redis.call('HGET', done, ARGV[2])
  return told and cmsgpack.unpack(told) or {1}
elseif last ~= number - 1 and tonumber(ARGV[3]) ~= number then
  return {0}
end
redis.call('HSET', done, 'n', ARGV[2])
redis.call('EXPIRE', done, SWEPT_TTL_S)

-- How the hold stands here: what it took, and whether a sweep has ended it.
local function ended(ticket)
  for place, was_swept in pairs({holds = false, swept = true}) do
    local key = tag .. place .. ':' .. process
    local entry = redis.call('HGET', key, ticket)
    if entry then
      redis.call('HDEL', key, ticket)
      return cmsgpack.unpack(entry), was_swept
    end
  end
  return nil, false
end

local function undo(entry, was_swept)
  for _, rule in ipairs(cmsgpack.unpack(entry[1])) do
    local kind, key = rule[1], key_of(rule)
    if kind == BUDGET then
      if was_swept then
        book(key, -entry[3], 0)
      else
        book(key, 0, -entry[3])
      end
    elseif not was_swept then
      if kind == TOKENS then
        correct_window(key, entry[4], -entry[2])
      elseif kind == REQUESTS then
        correct_window(key, entry[4], -1)
      else
        leave(key)
      end
    end
  end
end

local answer = {1}
local function settle(place, rules, entry, was_swept, tokens, cost)
  for at, rule in ipairs(rules) do
    local kind, key = rule[1], key_of(rule)
    if kind == BUDGET then
      local spent
      if entry and was_swept then
        spent = book(key, cost - entry[3], 0)
      elseif entry then
        spent = book(key, cost, -entry[3])
      else
        spent = book(key, cost, 0)
      end
      local told = {}
      tell(told, at, key, rule, spent or 0)
      for _, each in ipairs(told) do
        answer[#answer + 1] = {place, each[1], each[2], each[3]}
      end
    elseif entry then
      if kind == TOKENS and was_swept then
        correct_window(key, entry[4], tokens)
      elseif kind == TOKENS then
        correct_window(key, entry[4], tokens - entry[2])
      elseif kind == CONCURRENCY and not was_swept then
        leave(key)
      end
    end
  end
end

for i = 4, #ARGV, 5 do
  local how, ticket = ARGV[i], ARGV[i + 1]
  local entry, was_swept = nil, false
  if how ~= 'book' then
    entry, was_swept = ended(ticket)
  end
  if how ~= 'undo' then
    local rules = cmsgpack.unpack(ARGV[i + 2])
    settle((i - 4) / 5, rules, entry, was_swept, tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]))
  elseif entry then
    undo(entry, was_swept)
  end
end
if #answer > 1 then
  redis.call('HSET', done, ARGV[2], cmsgpack.pack(answer))
end
return answer
