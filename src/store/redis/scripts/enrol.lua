-- Adds one factor, unless the subject has as many as allowed, or one of that name.
--
-- KEYS[1]  the subject's enrolment
-- ARGV     1 field  2 record  3 factors allowed
-- Returns how many factors there are now, or a refusal.

local count = 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if field == 'alias_of' then
    return 'alias'
  end
  if field == ARGV[1] then
    return 'taken'
  end
  if field == 'totp_secret' or string.sub(field, 1, 5) == 'totp:' then
    count = count + 1
  end
end
if count >= tonumber(ARGV[3]) then
  return 'full'
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return count + 1
