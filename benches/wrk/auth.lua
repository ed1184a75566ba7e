-- Sends every request with the bearer token of the environment variable TOKEN.
-- `benches/wrk/run` logs in first and sets it.

local token = os.getenv("TOKEN")
if not token or token == "" then
  io.stderr:write("auth.lua: set TOKEN to an access token, or use benches/wrk/run, which logs in\n")
  os.exit(2)
end

wrk.headers["Authorization"] = "Bearer " .. token

function done(summary)
  if summary.errors.status > 0 then
    io.stderr:write(string.format(
      "auth.lua: %d of %d answers were refusals: a limit (429), or a token that ended (401)\n",
      summary.errors.status, summary.requests))
    os.exit(1)
  end
end
