-- What the scripts have in common that are about counters: it goes before them.
-- A counter is a hash: `t`, when it is full again, in microseconds of this server's clock; `k`, until when it is kept
-- although it is full, because it began with a part of what others owed until then; and for each gateway that was at it
-- within the last second, when.
-- Of those that tell, KEYS: what beat.lua notes of this server; then for each counter its own, then those of its limit's counters under
-- other quotas, of which one that is not here yet takes over a part.
-- ARGV: since when this server knows of gateways, as far as this one has heard; until when anybody waits for the answer;
-- the gateway's id; what the script is told beside; then for each counter, all in microseconds: what the gateway has let
-- through; what it believes that others and it had used up before that; the whole quota; how much is ever owed; how many
-- other counters there are; and of each of these the part that is taken over.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- Why nothing is done: this server has lost its counters, and the gateway has not told it yet what they were (-1), or
-- nobody waits for the answer any more (-2).
local function hindrance()
  if now > tonumber(ARGV[2]) then
    return -2
  elseif redis.call('HGET', KEYS[1], 't') ~= ARGV[1] then
    return -1
  end
end

-- Later than any quota is full again.
local FAR = now + 2e15

-- What a field holds, if that is a number: whoever can write here may have left anything.
local function number(text)
  local value = tonumber(text)
  -- What is no number is not even itself.
  if value and value == value then
    return math.min(value, FAR)
  end
end

-- When the counter is full, until when it is kept, and when each gateway was at it.
local function read(key)
  local all = redis.pcall('HGETALL', key)
  if all.err then
    -- Nobody else has anything to keep under such a name.
    redis.call('DEL', key)
    all = {}
  end
  local full, kept, seen = nil, 0, {}
  for i = 1, #all, 2 do
    local value = number(all[i + 1])
    if all[i] == 't' then
      full = value
    elseif all[i] == 'k' then
      kept = value or 0
    else
      seen[all[i]] = value or 0
    end
  end
  return full, kept, seen
end

local function read_full(key)
  local full = redis.pcall('HGET', key, 't')
  return type(full) == 'string' and number(full) or 0
end

-- The counter that is told of there, with that, and where the next ones are.
local function tell(at, arg)
  local used, believed = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
  local whole, most, kin = tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3]), tonumber(ARGV[arg + 4])
  local full, kept, seen = read(KEYS[at])
  local counter = { key = KEYS[at], kept = kept, others = 0, is_known = false }
  for gateway, when in pairs(seen) do
    if math.abs(now - when) > 1000000 then
      redis.call('HDEL', counter.key, gateway)
    elseif gateway == ARGV[3] then
      counter.is_known = true
    else
      counter.others = counter.others + 1
    end
  end
  -- What is taken over is written down even if that refuses a request: time passes from now on.
  counter.is_news = used ~= 0
  if not full then
    -- A counter that is gone while somebody remembers it was lost and not used up.
    full = now + believed
    for i = 1, kin do
      local part = math.max(tonumber(ARGV[arg + 4 + i]), 1e-12)
      local other = read_full(KEYS[at + i])
      if other > now + most / part then
        other = now + whole / part
      end
      full = math.max(full, now + (other - now) * part)
      counter.kept = math.max(counter.kept, other)
    end
    full = math.min(full, now + most)
    counter.is_news = counter.is_news or full > now
  elseif full > now + most then
    -- Nobody was ever granted that much: the clock was set back.
    full = now + whole
    counter.is_news = true
  end
  counter.full = math.max(math.max(full, now) + used, now)
  return counter, at + 1 + kin, arg + 5 + kin
end

local function write(counter)
  redis.call('HSET', counter.key, 't', string.format('%.3f', counter.full))
  if counter.kept > now then
    redis.call('HSET', counter.key, 'k', string.format('%.0f', counter.kept))
  end
  redis.call('PEXPIRE', counter.key, math.ceil((math.max(counter.full, counter.kept) - now) / 1000) + 2000)
end
