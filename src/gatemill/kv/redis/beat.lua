-- A process says that it lives, and ends the holds of one that does not.
--
-- ARGV: process, present Unix time, silence in seconds after which a process is taken for dead,
--       most holds to end in this call (0: end none)
-- Answer: {members alive, number of holds ended, {hold id, ...}, {ticket of ours, ...}}
-- Money that a dead process held is booked as spent: nobody can say that it was not. When the
-- process lives after all, its own settlement corrects that (see `swept:` in settle.lua).
local process, now_s = ARGV[1], tonumber(ARGV[2])
local dead_s, most = now_s - tonumber(ARGV[3]), tonumber(ARGV[4])
local members = tag .. 'members'
redis.call('ZADD', members, ARGV[2], process)

local ended = {}
local function sweep(name)
  local holds, swept = tag .. 'holds:' .. name, tag .. 'swept:' .. name
  local found = redis.call('HSCAN', holds, 0, 'COUNT', most)[2]
  for i = 1, #found, 2 do
    if #ended >= most then
      return
    end
    local entry = cmsgpack.unpack(found[i + 1])
    for _, rule in ipairs(cmsgpack.unpack(entry[1])) do
      local kind, key = rule[1], key_of(rule)
      if kind == CONCURRENCY then
        leave(key)
      elseif kind == TOKENS then
        correct_window(key, entry[4], -entry[2])
      elseif kind == BUDGET then
        book(key, entry[3], -entry[3])
      end
    end
    redis.call('HDEL', holds, found[i])
    redis.call('HSET', swept, found[i], found[i + 1])
    redis.call('EXPIRE', swept, SWEPT_TTL_S)
    ended[#ended + 1] = entry[5]
  end
  if redis.call('EXISTS', holds) == 0 then
    redis.call('ZREM', members, name)
  end
end

if most > 0 then
  local silent = redis.call('ZRANGEBYSCORE', members, '-inf', '(' .. whole(dead_s), 'LIMIT', 0, 10)
  for _, name in ipairs(silent) do
    sweep(name)
  end
end
local alive = redis.call('ZCOUNT', members, whole(dead_s), '+inf')
return {alive, #ended, ended, redis.call('HKEYS', tag .. 'holds:' .. process)}
