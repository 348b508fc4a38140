-- Puts a text in the place of what was read, if that is still there.
--
-- KEYS     1 the text
-- ARGV     1 what was read  2 what is to be there  3 seconds until it is forgotten
-- Returns 1, or 0 if it is another one by now, or gone.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', tonumber(ARGV[3]))
return 1
