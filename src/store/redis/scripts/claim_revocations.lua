-- Takes the revocations that are due, the longest due first, and hides them for the time of a lease.
--
-- KEYS     1 due times  2 times of birth  3 records  4 attempts
-- ARGV     1 seconds of the lease  2 how many
-- Returns for each: id, record (empty: there is none), attempts, age in seconds.

local now = tonumber(redis.call('TIME')[1])
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), id)
  local born = tonumber(redis.call('ZSCORE', KEYS[2], id) or 0)
  claimed[#claimed + 1] = {
    id,
    redis.call('HGET', KEYS[3], id) or '',
    tonumber(redis.call('HGET', KEYS[4], id) or 0) or 0,
    math.max(now - born, 0),
  }
end
return claimed
