-- Removes a subject's factors, failures and locks, and keeps used steps for as long as they may matter.
--
-- KEYS[1]  the subject's enrolment
-- KEYS[2]  the subject's ledger
-- ARGV     1 seconds after which no used step matters any more
-- Returns how many factors there were, or -1 for an alias.

local count = 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if field == 'alias_of' then
    return -1
  end
  if field == 'totp_secret' or string.sub(field, 1, 5) == 'totp:' then
    count = count + 1
  end
end
redis.call('HDEL', KEYS[2], 'failures', 'failures_in_a_row', 'locks_in_a_row', 'locked_until')
if redis.call('TTL', KEYS[2]) == -1 then
  redis.call('EXPIRE', KEYS[2], tonumber(ARGV[1]))
end
redis.call('DEL', KEYS[1])
return count
