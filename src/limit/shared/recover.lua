-- Tells a server that has lost its counters what one gateway knows of them. Counters as in counter.lua.
-- ARGV: for each key what is used up, as far as the gateway knows, in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  local believed = tonumber(ARGV[i])
  local full = redis.pcall('HGET', key, 't')
  if type(full) == 'table' then
    redis.call('DEL', key)
  end
  full = type(full) == 'string' and tonumber(full) or 0
  if full < now + believed then
    redis.call('HSET', key, 't', string.format('%.3f', now + believed))
    local kept = tonumber(redis.call('HGET', key, 'k') or 0)
    redis.call('PEXPIRE', key, math.ceil(math.max(believed, kept - now) / 1000) + 2000)
  end
end
return #KEYS
