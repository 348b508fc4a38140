-- Forgets failures and locks, not used steps.
--
-- KEYS     1 the subject's ledger  2 its recovery ledger
-- ARGV     1 seconds after which no used step matters any more
-- Returns how much was forgotten.

local forgotten = redis.call('HDEL', KEYS[1], 'failures', 'failures_in_a_row', 'locks_in_a_row', 'locked_until')
if redis.call('TTL', KEYS[1]) == -1 then
  redis.call('EXPIRE', KEYS[1], tonumber(ARGV[1]))
end
return forgotten + redis.call('DEL', KEYS[2])
