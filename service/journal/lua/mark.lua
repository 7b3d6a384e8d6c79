#!lua flags=allow-oom
-- Notes that an entry is about to be stepped. The note goes with the next commit.
-- KEYS: own
-- ARGV: owner, place
-- Returns how many owners left a note of this entry and were not heard of since; -1 if this one
-- owns nothing.
local own = redis.call('HMGET', KEYS[1], 'owner', 'suspect')
if own[1] ~= ARGV[1] then
  return -1
end
redis.call('HSET', KEYS[1], 'mark', ARGV[2])
local died = 0
if own[2] == ARGV[2] then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 5) == 'died:' then
      died = died + 1
    end
  end
end
return died
