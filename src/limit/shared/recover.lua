-- Tells a server that has lost its counters what one gateway knows of them.
-- KEYS: the counters. ARGV: for each what is used up, as far as the gateway knows, in microseconds.
for i, key in ipairs(KEYS) do
  local believed = tonumber(ARGV[i])
  local full, kept = read(key)
  if (full or 0) < now + believed then
    write({ key = key, full = now + believed, kept = kept })
  end
end
return #KEYS
