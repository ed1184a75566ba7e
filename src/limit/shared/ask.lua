-- Tells what one gateway has let through of these counters without asking, charges all of them or none, and
-- answers whether it did and how they stand then.
-- ARGV beside: 1 to charge, 0 to look; and after each counter what a request takes and what there is for it in all, in
-- microseconds.
local hindered = hindrance()
if hindered then
  return { hindered }
end
local answer = { ARGV[4] == '1' and 1 or 0 }
local counters = {}
local at, arg = 2, 5
while at <= #KEYS do
  local counter
  counter, at, arg = tell(at, arg)
  counter.amount = tonumber(ARGV[arg])
  local whole = tonumber(ARGV[arg + 1])
  arg = arg + 2
  counters[#counters + 1] = counter
  if counter.full + counter.amount > now + whole then
    answer[1] = 0
  end
end
for i, counter in ipairs(counters) do
  if answer[1] == 1 then
    counter.full = counter.full + counter.amount
  end
  if answer[1] == 1 or counter.is_news then
    write(counter)
  end
  answer[i + 1] = math.ceil(counter.full - now)
end
return answer
