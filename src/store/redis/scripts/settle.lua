-- Settles one attempt: locked? replayed? accepted or counted. The rule is that of src/policy/lockout.rs,
-- said again where it can be atomic; tests/contract holds the two to each other.
--
-- KEYS     1 the subject's ledger, or its recovery ledger  2 its enrolment, for a recovery code
-- ARGV     1 fingerprint  2 attempt window  3 failures_max  4 lockout window  5 lock_secs  6 lock_secs_max
--          7 failures in a row that lock for good  8 margin for used steps
--          then, for each factor that the passcode fits: id, step, window
--          or, for a recovery code that fits: its id
-- Times are seconds of this server's clock.

local ledger = KEYS[1]
local now = tonumber(redis.call('TIME')[1])
local fingerprint = ARGV[1]
local attempt_window, failures_max = tonumber(ARGV[2]), tonumber(ARGV[3])
local lockout_window, lock_secs, lock_secs_max = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local in_a_row_max, margin = tonumber(ARGV[7]), tonumber(ARGV[8])

-- What is not a plain number is an error: tonumber alone takes 'nan', which is neither more nor less than 100.
local function digits(text)
  return #text <= 15 and string.match(text, '^%d+$') and tonumber(text)
end

local function malformed(field)
  return redis.error_reply('TFA the ledger has a malformed field ' .. field)
end

local fields, used, failures = {}, {}, {}
local flat = redis.call('HGETALL', ledger)
for i = 1, #flat, 2 do
  local field, value = flat[i], flat[i + 1]
  local factor = string.match(field, '^used:(.+)$')
  if factor then
    local step, forget_at = string.match(value, '^(%d+) (%d+)$')
    step, forget_at = digits(step or ''), digits(forget_at or '')
    if not step or not forget_at then
      return malformed(field)
    end
    used[factor] = { step = step, forget_at = forget_at }
  elseif field == 'failures' then
    for failure in string.gmatch(value, '%S+') do
      local at, print = string.match(failure, '^(%d+):(%x+)$')
      at = digits(at or '')
      if not at then
        return malformed(field)
      end
      failures[#failures + 1] = { at = at, print = print }
    end
  elseif field == 'failures_in_a_row' or field == 'locks_in_a_row' or field == 'locked_until' then
    fields[field] = digits(value)
    if not fields[field] then
      return malformed(field)
    end
  end
end
local in_a_row, locks = fields['failures_in_a_row'] or 0, fields['locks_in_a_row'] or 0
local locked_until = fields['locked_until'] or 0

if in_a_row >= in_a_row_max then
  return { 'locked_for_good' }
end
if locked_until > now then
  return { 'locked', string.format('%d', locked_until - now) }
end

-- What failed within its window is not counted again. That it fits by now makes it no better: it was guessed.
local verdict = #ARGV > 8 and 'replayed' or 'wrong'
for _, failure in ipairs(failures) do
  if failure.print == fingerprint and math.max(now - failure.at, 0) < attempt_window then
    return { verdict }
  end
end

if KEYS[2] and ARGV[9] then
  if redis.call('HDEL', KEYS[2], 'recovery:' .. ARGV[9]) == 1 then
    redis.call('DEL', ledger)
    return { 'accepted', ARGV[9] }
  end
end

-- Of two factors with one secret, a passcode is both's: it is spent for both, and used if it is for one.
local fresh, last_of_all = not KEYS[2] and #ARGV > 8, now
for i = 9, KEYS[2] and 0 or #ARGV, 3 do
  local last = used[ARGV[i]]
  if last and last.forget_at > now and tonumber(ARGV[i + 1]) <= last.step then
    fresh = false
  end
end
if fresh then
  for i = 9, #ARGV, 3 do
    local factor, step, forget_at = ARGV[i], tonumber(ARGV[i + 1]), now + tonumber(ARGV[i + 2]) + margin
    -- The used steps first: if the server has no memory left, nothing is forgotten instead.
    redis.call('HSET', ledger, 'used:' .. factor, string.format('%d %d', step, forget_at))
    used[factor] = { step = step, forget_at = forget_at }
  end
  redis.call('HDEL', ledger, 'failures', 'failures_in_a_row', 'locks_in_a_row', 'locked_until')
  for other, it in pairs(used) do
    if it.forget_at <= now then
      redis.call('HDEL', ledger, 'used:' .. other)
    else
      last_of_all = math.max(last_of_all, it.forget_at)
    end
  end
  redis.call('EXPIRE', ledger, last_of_all - now)
  return { 'accepted', ARGV[9] }
end

local kept, recent = {}, 1
for _, failure in ipairs(failures) do
  local age = math.max(now - failure.at, 0)
  if age < math.max(lockout_window, attempt_window) then
    kept[#kept + 1] = string.format('%d:%s', failure.at, failure.print)
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
