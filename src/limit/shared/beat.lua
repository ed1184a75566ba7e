-- Says that a gateway lives, unless that is late or it only asks. Answers how many do and how many have said so since some
-- time, it with them; how many lived when one last said so; since when this server knows of any, in milliseconds; and what
-- time it is, in microseconds. A server that has lost its counters has lost that, too; one that was started again, or took
-- over from another, has them as they were some time before, and begins anew.
-- KEYS: the gateways; what is noted of the server. ARGV: the gateway's id; when it says so, in microseconds, or 0 when it
-- only asks; until when that is not late; since when the others are counted, in milliseconds; how many it counts itself.
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
-- Nobody else has anything to keep under such names: what is of another kind goes.
local function mine(command, key, ...)
  local answer = redis.pcall(command, key, ...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'WRONGTYPE', 1, true) then
      redis.call('DEL', key)
    end
    return redis.call(command, key, ...)
  end
  return answer
end

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local said, until_then = tonumber(ARGV[2]), tonumber(ARGV[3])
local is_said = said > 0 and micros <= until_then
local itself = 0
-- First, so that a server without room refuses it. It counts as said when it was: a server that was frozen finds in its
-- sockets what was said before.
if is_said then
  mine('ZADD', KEYS[1], math.min(now, math.floor(said / 1000)), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], 60000)
elseif said == 0 then
  mine('ZREM', KEYS[1], ARGV[1])
  itself = 1
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 5000)
-- Said before the clock was set back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
local living = redis.call('ZCARD', KEYS[1]) + itself
local back = redis.call('ZCOUNT', KEYS[1], ARGV[4], '+inf') + itself
local known = mine('HGET', KEYS[2], 't')
local since = tonumber(known)
local is_known = since and since > 0 and since <= now and string.format('%.0f', since) == known
if not is_known or redis.call('HGET', KEYS[2], 'run') ~= run then
  since = now
  redis.call('HSET', KEYS[2], 't', string.format('%.0f', now), 'run', run)
end
local before = tonumber(redis.call('HGET', KEYS[2], 'n') or 1)
if not before or before ~= before then
  before = 1
end
if is_said then
  redis.call('HSET', KEYS[2], 'n', math.max(living, tonumber(ARGV[5])))
end
redis.call('PEXPIRE', KEYS[2], 60000)
return { living, back, math.min(math.max(before, 1), 32767), since, micros }
