-- Remembers a device, if there is still what was read, and if its subject is enrolled: still with the factor that it is
-- remembered for, if that is named. Others make room for a new one.
--
-- KEYS     1 the subject's devices  2 its enrolment
-- ARGV     1 id  2 what was read (empty: none)  3 record  4 seconds until it is forgotten
--          5 field of the factor (empty: any)  6 how many a subject may have
--          7 how many are over  then those, and all others in the order in which they go where there are too many
-- Returns 1, or 0 if somebody else changed it meanwhile.

local devices, id, max = KEYS[1], ARGV[1], tonumber(ARGV[6])
local found = redis.call('HGET', devices, id) or ''
if found ~= ARGV[2] or redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
if ARGV[5] ~= '' and redis.call('HEXISTS', KEYS[2], ARGV[5]) == 0 then
  return 0
end
local over = 7 + tonumber(ARGV[7])
for i = 8, over do
  redis.call('HDEL', devices, ARGV[i])
end
if found == '' then
  local too_many = redis.call('HLEN', devices) + 1 - max
  for i = over + 1, #ARGV do
    if too_many > 0 then
      too_many = too_many - redis.call('HDEL', devices, ARGV[i])
    end
  end
  -- Of those that came at the same time, nobody knows which is older.
  if too_many > 0 then
    for _, other in ipairs(redis.call('HKEYS', devices)) do
      if too_many > 0 then
        too_many = too_many - redis.call('HDEL', devices, other)
      end
    end
  end
end
redis.call('HSET', devices, id, ARGV[3])
-- The hash lives as long as the device that lives longest.
if redis.call('TTL', devices) < tonumber(ARGV[4]) then
  redis.call('EXPIRE', devices, tonumber(ARGV[4]))
end
return 1
