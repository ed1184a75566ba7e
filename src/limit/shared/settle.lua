-- Tells what one gateway has let through, and answers how the counters stand then.
-- A counter is a hash: `t`, when it is full again, in microseconds of this server's clock, and for each gateway that was at
-- it within the last second, when.
-- ARGV: the gateway's id; 1 where this server has lost what was used up before; then for each key what it has let
-- through, and what it believes that others and it had used up before that, both in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local id, is_lost = ARGV[1], ARGV[2] == '1'
local answer = {}
for i, key in ipairs(KEYS) do
  local used = tonumber(ARGV[2 * i + 1])
  local believed = tonumber(ARGV[2 * i + 2])
  local full, others, known = nil, 0, false
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    if all[j] == 't' then
      full = tonumber(all[j + 1])
    elseif now - all[j + 1] > 1000000 then
      redis.call('HDEL', key, all[j])
    elseif all[j] == id then
      known = true
    else
      others = others + 1
    end
  end
  -- A counter that is gone while somebody remembers it was lost and not used up.
  if is_lost then
    full = math.max(full or now, now + believed)
  end
  full = math.max(full or now + believed, now)
  full = full + used
  redis.call('HSET', key, 't', string.format('%.3f', full), id, string.format('%.0f', now))
  redis.call('PEXPIRE', key, math.max(math.ceil((full - now) / 1000), 0) + 2000)
  answer[2 * i - 1] = math.max(math.ceil(full - now), 0)
  -- One that has come just now does not know yet who else comes.
  answer[2 * i] = known and others + 1 or 0
end
return answer
