-- Changes a subject's enrolment, if it is still what was read.
--
-- KEYS     1 enrolment  2 ledger  3 recovery ledger  4 devices
-- ARGV     1 how many fields were read  2 fields to set  3 fields to remove
--          4 '1' to forget failures and locks  5 '1' to forget devices
--          6 a field of the ledger to set (empty: none)  7 its step  8 seconds for which it is kept
--          9 seconds after which no used step matters any more
--          then the fields that were read and those to set, each with its value, and the names to remove
-- Returns 1, or 0 if somebody else changed it meanwhile.

local enrolment, ledger, recovery_ledger, devices = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local read, set, removed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local at = 10

if redis.call('HLEN', enrolment) ~= read then
  return 0
end
for _ = 1, read do
  if redis.call('HGET', enrolment, ARGV[at]) ~= ARGV[at + 1] then
    return 0
  end
  at = at + 2
end

-- What must not be accepted again comes first, and what is added before what is removed: if the server has no
-- memory left, nothing is lost.
if ARGV[6] ~= '' then
  local keep = tonumber(ARGV[8])
  local now = tonumber(redis.call('TIME')[1])
  local used = redis.call('HGET', ledger, ARGV[6])
  -- A factor that is taken over once more must not bring back what was used since.
  if not used or tonumber(string.match(used, '^%d+')) <= tonumber(ARGV[7]) then
    redis.call('HSET', ledger, ARGV[6], ARGV[7] .. ' ' .. string.format('%d', now + keep))
  end
  local left = redis.call('TTL', ledger)
  if left ~= -1 and left < keep or left == -1 and redis.call('HEXISTS', ledger, 'failures_in_a_row') == 0 then
    redis.call('EXPIRE', ledger, keep)
  end
end
for _ = 1, set do
  redis.call('HSET', enrolment, ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, removed do
  redis.call('HDEL', enrolment, ARGV[at])
  at = at + 1
end
if ARGV[4] == '1' then
  redis.call('HDEL', ledger, 'failures', 'failures_in_a_row', 'locks_in_a_row', 'locked_until')
  if redis.call('TTL', ledger) == -1 then
    redis.call('EXPIRE', ledger, tonumber(ARGV[9]))
  end
  redis.call('DEL', recovery_ledger)
end
if ARGV[5] == '1' then
  redis.call('DEL', devices)
end
return 1
