-- Charges all counters or none, and answers whether it did and how they stand then. Counters as in settle.lua.
-- ARGV: 1 to charge, 0 to look; then for each key what a request takes, what the gateway believes was used up,
-- and what the whole quota is, all in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = { 1 }
local times = {}
for i, key in ipairs(KEYS) do
  local amount = tonumber(ARGV[3 * i - 1])
  local believed = tonumber(ARGV[3 * i])
  local whole = tonumber(ARGV[3 * i + 1])
  local full = tonumber(redis.call('HGET', key, 't') or now + believed)
  full = math.max(full, now)
  if full > now + 2 * whole then
    full = now + whole
  end
  times[i] = full
  answer[i + 1] = math.ceil(full - now)
  if full + amount > now + whole then
    answer[1] = 0
  end
end
if answer[1] == 1 and ARGV[1] == '1' then
  for i, key in ipairs(KEYS) do
    local full = times[i] + tonumber(ARGV[3 * i - 1])
    redis.call('HSET', key, 't', string.format('%.3f', full))
    redis.call('PEXPIRE', key, math.ceil((full - now) / 1000) + 2000)
    answer[i + 1] = math.ceil(full - now)
  end
end
return answer
