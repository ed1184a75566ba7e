-- Takes bearer tokens in turn, one per line, from the file that the environment variable TOKENS names.

local path = os.getenv("TOKENS")
if not path or path == "" then
  io.stderr:write("users.lua: set TOKENS to a file of access tokens, one per line\n")
  os.exit(2)
end

local threads = 0

function setup(thread)
  thread:set("place", threads)
  threads = threads + 1
end

local requests, next_one = {}, 0

function init(_)
  local file, why = io.open(path)
  if not file then
    io.stderr:write("users.lua: " .. why .. "\n")
    os.exit(2)
  end
  for token in file:lines() do
    if token ~= "" then
      -- Written out once here: building a request costs wrk more than sending it.
      wrk.headers["Authorization"] = "Bearer " .. token
      requests[#requests + 1] = wrk.format()
    end
  end
  file:close()
  if #requests == 0 then
    io.stderr:write("users.lua: " .. path .. " holds no token\n")
    os.exit(2)
  end
  -- Threads start apart, so that they don't all send for one user at the same moment.
  next_one = (place * 7919) % #requests
end

function request()
  next_one = next_one % #requests + 1
  return requests[next_one]
end
