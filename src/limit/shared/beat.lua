-- Says that a gateway lives, and answers how many do, since when this server knows of any, in milliseconds, and how
-- long ago that was. A server that has lost its counters has lost that, too.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 5000)
redis.call('PEXPIRE', KEYS[1], 60000)
local since = tonumber(redis.call('HGET', KEYS[2], 't'))
if not since or since > now then
  since = now
  redis.call('HSET', KEYS[2], 't', string.format('%.0f', now))
end
redis.call('PEXPIRE', KEYS[2], 60000)
return { redis.call('ZCARD', KEYS[1]), since, now - since }
