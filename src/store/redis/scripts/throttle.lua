-- Judges one request of a client. The rule is that of src/policy/throttle.rs.
--
-- KEYS     1 when the client's next request is due, in milliseconds
-- ARGV     1 milliseconds from one request to the next  2 milliseconds by which requests may be early
-- Returns 0, or the milliseconds to wait.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('GET', KEYS[1])) or now, now)
local early = due - now - tolerance
if early > 0 then
  return early
end
redis.call('SET', KEYS[1], string.format('%d', due + interval), 'PX', due + interval - now)
return 0
