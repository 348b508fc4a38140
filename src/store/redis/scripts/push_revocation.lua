-- Keeps one revocation, due at once, and drops the oldest of too many.
--
-- KEYS     1 due times  2 times of birth  3 records  4 attempts
-- ARGV     1 id  2 record  3 how many are kept
-- Returns how many were dropped. One that is there already stays as it is.

local now = tonumber(redis.call('TIME')[1])
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZADD', KEYS[2], now, ARGV[1])
local excess = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
if excess <= 0 then
  return 0
end
-- Not thousands at once: the script must stay short.
local oldest = redis.call('ZRANGE', KEYS[2], 0, math.min(excess, 100) - 1)
for _, id in ipairs(oldest) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', KEYS[3], id)
  redis.call('HDEL', KEYS[4], id)
end
return #oldest
