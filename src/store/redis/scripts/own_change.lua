-- Remembers the place of a subject's own change, and takes out those of the oldest ones of too many.
--
-- KEYS     1 the places of the subject's changes
-- ARGV     1 place  2 its score  3 how many are kept  4 seconds until they are forgotten
-- Returns what was taken out.

redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[4]))
local too_many = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
if too_many <= 0 then
  return {}
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, too_many - 1)
for _, place in ipairs(oldest) do
  redis.call('ZREM', KEYS[1], place)
end
return oldest
