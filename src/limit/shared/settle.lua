-- Tells what one gateway has let through of these counters, and answers how they stand then and how many gateways are
-- at each.
local hindered = hindrance()
if hindered then
  return { hindered }
end
local answer = {}
local at, arg = 2, 4
while at <= #KEYS do
  local counter
  counter, at, arg = tell(at, arg)
  write(counter)
  redis.call('HSET', counter.key, ARGV[3], string.format('%.0f', now))
  answer[#answer + 1] = math.ceil(counter.full - now)
  -- One that has come just now does not know yet who else comes.
  answer[#answer + 1] = counter.is_known and counter.others + 1 or 0
end
return answer
