-- Says that a gateway lives, and answers how many do, how many have said so lately, since when this server knows of any, in milliseconds, and what
-- time it is, in microseconds. A server that has lost its counters has lost that, too; one that was started again, or took
-- over from another, has them as they were some time before, and begins anew.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Nobody else has anything to keep under such names.
local function mine(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    redis.call('DEL', select(2, ...))
    answer = redis.call(...)
  end
  return answer
end

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
mine('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 5000)
-- Said before the clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
redis.call('PEXPIRE', KEYS[1], 60000)
local since = tonumber(mine('HGET', KEYS[2], 't'))
if not (since and since <= now) or redis.call('HGET', KEYS[2], 'run') ~= run then
  since = now
  redis.call('HSET', KEYS[2], 't', string.format('%.0f', now), 'run', run)
end
redis.call('PEXPIRE', KEYS[2], 60000)
local awake = redis.call('ZCOUNT', KEYS[1], now - 1500, '+inf')
return { redis.call('ZCARD', KEYS[1]), awake, since, time[1] * 1000000 + time[2] }
