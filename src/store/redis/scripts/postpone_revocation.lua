-- Makes a revocation due again later, unless it is gone.
--
-- KEYS     1 due times  2 attempts
-- ARGV     1 id  2 seconds until it is due  3 attempts
-- Returns whether it was there.

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
