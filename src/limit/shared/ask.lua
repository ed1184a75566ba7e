-- Tells what one gateway has let through of these counters without asking, charges all of them or none, and
-- answers whether it did and how they stand then. Counters as in settle.lua.
-- ARGV: 1 to charge, 0 to look; the grace of a new server; until when anybody waits for the answer, after which nothing
-- is done and the answer is -2; then for each counter what settle.lua has, what a request takes, and what the whole
-- quota is; all in microseconds. The first key tells since when this server knows of gateways, as beat.lua sets it:
-- after it has lost its counters they take some seconds to tell it what they know, and until then the answer is -1.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local since = tonumber(redis.call('HGET', KEYS[1], 't'))
if now > tonumber(ARGV[3]) then
  return { -2 }
end
if not since or now - since * 1000 < tonumber(ARGV[2]) then
  return { -1 }
end
local answer = { ARGV[1] == '1' and 1 or 0 }
local counters = {}
local at, arg = 2, 4
while at <= #KEYS do
  local key, used, believed, kin = KEYS[at], tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local full = tonumber(redis.call('HGET', key, 't'))
  local kept = tonumber(redis.call('HGET', key, 'k') or 0)
  -- What is taken over is written down even if that refuses the request: time passes from now on.
  local is_news = used ~= 0
  if not full then
    full = now + believed
    for i = 1, kin do
      local other = tonumber(redis.call('HGET', KEYS[at + i], 't') or 0)
      full = math.max(full, now + (other - now) * ARGV[arg + 2 + i])
      kept = math.max(kept, other)
    end
    is_news = is_news or full > now
  end
  full = math.max(math.max(full, now) + used, now)
  at, arg = at + 1 + kin, arg + 3 + kin
  local amount, whole = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  arg = arg + 2
  counters[#counters + 1] = { key = key, full = full, kept = kept, amount = amount, is_news = is_news }
  if full + amount > now + whole then
    answer[1] = 0
  end
end
for i, counter in ipairs(counters) do
  local full = counter.full
  if answer[1] == 1 then
    full = full + counter.amount
  end
  if answer[1] == 1 or counter.is_news then
    redis.call('HSET', counter.key, 't', string.format('%.3f', full))
    if counter.kept > now then
      redis.call('HSET', counter.key, 'k', string.format('%.0f', counter.kept))
    end
    redis.call('PEXPIRE', counter.key, math.ceil((math.max(full, counter.kept) - now) / 1000) + 2000)
  end
  answer[i + 1] = math.ceil(full - now)
end
return answer
