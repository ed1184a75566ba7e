-- Sends a value of X-Key of so many in turn as the environment variable KEYS says, and waits for so many
-- milliseconds as PAUSE says before each request of a connection.

local count = tonumber(os.getenv("KEYS"))
local pause = tonumber(os.getenv("PAUSE"))
local threads, next_one = 0, 0

function setup(thread)
  thread:set("place", threads)
  threads = threads + 1
end

function init(_)
  next_one = place * 7919
end

function request()
  next_one = (next_one + 1) % count
  wrk.headers["X-Key"] = next_one
  return wrk.format()
end

if pause > 0 then
  function delay()
    return pause
  end
end
