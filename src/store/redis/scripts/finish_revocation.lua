-- Forgets a revocation.
--
-- KEYS     1 due times  2 times of birth  3 records  4 attempts
-- ARGV     1 id
-- Returns whether it was there.

redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
