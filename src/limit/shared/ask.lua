-- Tells what one gateway has let through of these counters without asking, charges all of them or none, and
-- answers whether it did and how they stand then. Counters as in settle.lua.
-- ARGV: 1 to charge, 0 to look; then for each key what a request takes, what was let through, what the gateway
-- believes was used up before that, and what the whole quota is; last the grace of a new server; all in microseconds. The last key tells since when
-- this server knows of gateways, as beat.lua sets it: after it has lost its counters they take some seconds to tell
-- it what they know, and until then the answer is -1.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local since = tonumber(redis.call('HGET', KEYS[#KEYS], 't'))
if not since or now - since * 1000 < tonumber(ARGV[#ARGV]) then
  return { -1 }
end
local answer = { ARGV[1] == '1' and 1 or 0 }
local times = {}
for i = 1, #KEYS - 1 do
  local key = KEYS[i]
  local amount = tonumber(ARGV[4 * i - 2])
  local used = tonumber(ARGV[4 * i - 1])
  local believed = tonumber(ARGV[4 * i])
  local whole = tonumber(ARGV[4 * i + 1])
  local full = tonumber(redis.call('HGET', key, 't') or now + believed)
  full = math.max(full, now)
  full = math.max(full + used, now)
  times[i] = full
  if full + amount > now + whole then
    answer[1] = 0
  end
end
for i = 1, #KEYS - 1 do
  local key, full = KEYS[i], times[i]
  if answer[1] == 1 then
    full = full + tonumber(ARGV[4 * i - 2])
  end
  if answer[1] == 1 or tonumber(ARGV[4 * i - 1]) ~= 0 then
    redis.call('HSET', key, 't', string.format('%.3f', full))
    redis.call('PEXPIRE', key, math.ceil((full - now) / 1000) + 2000)
  end
  answer[i + 1] = math.ceil(full - now)
end
return answer
