-- For wrk with one connection for each thread: submits a task, asks until it is completed, and
-- submits the next.
local path = nil
tasks_done = 0
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init() tasks_done = 0 end

function request()
  if path then return wrk.format("GET", path) end
  local headers = { ["Content-Type"] = "application/json" }
  return wrk.format("POST", "/task", headers, '{"type":"fibonacci","n":1}')
end

function response(status, headers, body)
  if not path then
    path = status == 202 and headers["Location"] or nil
  elseif status ~= 200 or body:find('"completed"', 1, true) then
    path = nil
    if status == 200 then tasks_done = tasks_done + 1 end
  end
end

function done()
  local total = 0
  for _, thread in ipairs(threads) do total = total + thread:get("tasks_done") end
  io.write(string.format("tasks done: %d\n", total))
end
