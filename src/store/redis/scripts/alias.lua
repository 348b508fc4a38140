-- Makes a name another name of a subject, unless it has factors of its own.
--
-- KEYS[1]  the enrolment of the name
-- ARGV     1 the subject
-- Returns 1, or 0 if the name is enrolled.

for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if field ~= 'alias_of' then
    return 0
  end
end
redis.call('HSET', KEYS[1], 'alias_of', ARGV[1])
return 1
