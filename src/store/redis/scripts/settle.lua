-- Settles one attempt: locked? replayed? accepted or counted. The rule is that of src/policy/lockout.rs,
-- said again where it can be atomic; tests/contract holds the two to each other.
--
-- KEYS[1]  the subject's ledger
-- ARGV     1 fingerprint  2 attempt window  3 failures_max  4 lockout window  5 lock_secs  6 lock_secs_max
--          7 failures in a row that lock for good  8 margin for used steps
--          then, for each factor that the passcode fits: id, step, window
-- Times are seconds of this server's clock.

local ledger = KEYS[1]
local now = tonumber(redis.call('TIME')[1])
local fingerprint = ARGV[1]
local attempt_window, failures_max = tonumber(ARGV[2]), tonumber(ARGV[3])
local lockout_window, lock_secs, lock_secs_max = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local in_a_row_max, margin = tonumber(ARGV[7]), tonumber(ARGV[8])

local fields, used = {}, {}
local flat = redis.call('HGETALL', ledger)
for i = 1, #flat, 2 do
  local factor = string.match(flat[i], '^used:(.+)$')
  if factor then
    local step, forget_at = string.match(flat[i + 1], '^(%d+) (%d+)$')
    if not step then
      return redis.error_reply('TFA the ledger has a malformed field used:' .. factor)
    end
    used[factor] = { step = tonumber(step), forget_at = tonumber(forget_at) }
  else
    fields[flat[i]] = flat[i + 1]
  end
end

local function number(name)
  if not fields[name] then
    return 0
  end
  -- `nan`, `1e9` and `-1` are numbers to Lua.
  return string.match(fields[name], '^%d+$') and tonumber(fields[name])
end

local in_a_row, locks, locked_until = number('failures_in_a_row'), number('locks_in_a_row'), number('locked_until')
if not in_a_row or not locks or not locked_until then
  return redis.error_reply('TFA the ledger has a field that is not a number')
end

if in_a_row >= in_a_row_max then
  return { 'locked_for_good' }
end
if locked_until > now then
  return { 'locked', string.format('%d', locked_until - now) }
end

for i = 9, #ARGV, 3 do
  local factor, step, window = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local last = used[factor]
  if not last or last.forget_at <= now or step > last.step then
    local forget_at = now + window + margin
    -- The used step first: if the server has no memory left, nothing is forgotten instead.
    redis.call('HSET', ledger, 'used:' .. factor, string.format('%d %d', step, forget_at))
    redis.call('HDEL', ledger, 'failures', 'failures_in_a_row', 'locks_in_a_row', 'locked_until')
    for other, it in pairs(used) do
      if other ~= factor and it.forget_at <= now then
        redis.call('HDEL', ledger, 'used:' .. other)
      elseif it.forget_at > forget_at then
        forget_at = it.forget_at
      end
    end
    redis.call('EXPIRE', ledger, forget_at - now)
    return { 'accepted', factor }
  end
end

local verdict = #ARGV > 8 and 'replayed' or 'wrong'
local kept, recent = {}, 1
for at, print in string.gmatch(fields['failures'] or '', '(%d+):(%x+)') do
  local age = math.max(now - tonumber(at), 0)
  if print == fingerprint and age < attempt_window then
    return { verdict }
  end
  if age < math.max(lockout_window, attempt_window) then
    kept[#kept + 1] = at .. ':' .. print
  end
  if age < lockout_window then
    recent = recent + 1
  end
end
kept[#kept + 1] = string.format('%d:%s', now, fingerprint)
in_a_row = in_a_row + 1
if recent >= failures_max then
  locks = locks + 1
  locked_until = now + math.min(lock_secs * 2 ^ math.min(locks - 1, 32), lock_secs_max)
  kept = {}
end
redis.call('HSET', ledger,
  'failures', table.concat(kept, ' '),
  'failures_in_a_row', string.format('%d', in_a_row),
  'locks_in_a_row', string.format('%d', locks),
  'locked_until', string.format('%d', locked_until))
redis.call('PERSIST', ledger)
return { verdict }
