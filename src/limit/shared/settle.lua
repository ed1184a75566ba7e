-- Tells what one gateway has let through, and answers how the counters stand then.
-- A counter is a hash: `t`, when it is full again, in microseconds of this server's clock; `k`, until when it is kept
-- although it is full, because it began with a part of what others owed until then; and for each gateway that was at it
-- within the last second, when.
-- KEYS: for each counter its own, then those of its limit's counters under other quotas, of which one that is not
-- here yet takes over a part.
-- ARGV: the gateway's id; 1 where this server has lost what was used up before; until when anybody waits for the
-- answer, after which nothing is done and nothing answered; then for each counter what the gateway has let through, and
-- what it believes that others and it had used up before that, both in microseconds; how many other counters there
-- are; and of each of these the part that is taken over.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local id, is_lost = ARGV[1], ARGV[2] == '1'
local answer = {}
if now > tonumber(ARGV[3]) then
  return answer
end
local at, arg = 1, 4
while at <= #KEYS do
  local key, used, believed, kin = KEYS[at], tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  local full, kept, others, known = nil, 0, 0, false
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    if all[j] == 't' then
      full = tonumber(all[j + 1])
    elseif all[j] == 'k' then
      kept = tonumber(all[j + 1])
    elseif now - all[j + 1] > 1000000 then
      redis.call('HDEL', key, all[j])
    elseif all[j] == id then
      known = true
    else
      others = others + 1
    end
  end
  if not full then
    -- A counter that is gone while somebody remembers it was lost and not used up.
    full = now + believed
    for i = 1, kin do
      local other = tonumber(redis.call('HGET', KEYS[at + i], 't') or 0)
      full = math.max(full, now + (other - now) * ARGV[arg + 2 + i])
      kept = math.max(kept, other)
    end
  elseif is_lost then
    full = math.max(full, now + believed)
  end
  full = math.max(full, now) + used
  redis.call('HSET', key, 't', string.format('%.3f', full), id, string.format('%.0f', now))
  if kept > now then
    redis.call('HSET', key, 'k', string.format('%.0f', kept))
  end
  redis.call('PEXPIRE', key, math.max(math.ceil((math.max(full, kept) - now) / 1000), 0) + 2000)
  answer[#answer + 1] = math.max(math.ceil(full - now), 0)
  -- One that has come just now does not know yet who else comes.
  answer[#answer + 1] = known and others + 1 or 0
  at, arg = at + 1 + kin, arg + 3 + kin
end
return answer
