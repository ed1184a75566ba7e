-- Refreshes sessions over and over: each request takes a refresh token from the queue, and each answer
-- puts the next one of its session back. TOKENS names a file with a token a line, more than there are
-- connections; every thread takes its share.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  queue, head, tail = {}, 1, 0
  local line, mine = 0, tonumber(os.getenv("THREADS"))
  for token in io.lines(os.getenv("TOKENS")) do
    if line % mine == number then
      tail = tail + 1
      queue[tail] = token
    end
    line = line + 1
  end
end

function request()
  local token = queue[head]
  queue[head] = nil
  head = head + 1
  return wrk.format("POST", nil, { ["Content-Type"] = "application/x-www-form-urlencoded" },
    "refresh_token=" .. token)
end

function response(status, headers, body)
  local token = body:match('"refresh_token":"([^"]+)"')
  if token then
    tail = tail + 1
    queue[tail] = token
  end
end
