-- Remembers a device, if there is still what was read, and if its subject is enrolled: still with the factor that it is
-- remembered for, if that is named.
--
-- KEYS     1 the subject's devices  2 its enrolment
-- ARGV     1 id  2 what was read (empty: none)  3 record  4 seconds until it is forgotten
--          5 field of the factor (empty: any)
-- Returns 1, or 0 if somebody else changed it meanwhile.

local found = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if found ~= ARGV[2] or redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
if ARGV[5] ~= '' and redis.call('HEXISTS', KEYS[2], ARGV[5]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
-- The hash lives as long as the device that lives longest.
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[4]) then
  redis.call('EXPIRE', KEYS[1], tonumber(ARGV[4]))
end
return 1
